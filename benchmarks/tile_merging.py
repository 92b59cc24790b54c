"""What tiling a scene costs a detector: average precision of merged tiles against that of whole scenes.

The detector is an oracle that knows the objects and sees only its window: of an object at the border it boxes the part
that is inside, with a score that has nothing to do with that. Some objects it never finds, some it makes up, and its
boxes are off by a few percent; all that is the same in every window that shows an object, so that whatever differs
between the two is the work of the merging. Scenes are synthetic ones (houses and cars), crowded ones (rows of parked
boxes a pixel or two apart, with long ones across them), and annotated images of DOTA.

    python benchmarks/tile_merging.py --dota DATA/dota_samples
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from measuring import argument_parser
from s5_hf.dataset_builders.annotations import parse_dota_text
from s5_hf.dataset_builders.oriented_geometry import polygons_to_boxes
from s5_hf.imaging.polygon_clipping import clip_polygon
from s5_hf.imaging.windows import Window
from s5_hf.metrics import OrientedAveragePrecision
from s5_hf.modeling.non_maximum_suppression import batched_rotated_nms
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_corners, oriented_boxes_to_horizontal
from s5_hf.predictors.interfaces import Detections
from s5_hf.scenes.detection import TileSettings
from s5_hf.scenes.detection.tile_detection import tile_grid
from s5_hf.scenes.detection.tile_merging import merge_found
from s5_hf.synthetic import BOX_LABELS, synthetic_scene

NMS_IOU = 0.1
FOUND, MADE_UP = 0.9, 0.15
"""Share of the objects that the oracle finds, and number of those that it makes up per object."""

LEAST_SHARE = 0.25
"""Share of an object that must be inside a window for the oracle to see it."""


@dataclass(frozen=True)
class Scene:
    """Objects of a scene: boxes float64 `(n, 5)` and class ids `(n,)`."""

    name: str
    height: int
    width: int
    boxes: torch.Tensor
    labels: torch.Tensor


class Oracle:
    """Knows what is in a scene, as a middling detector would see it.

    Args:
        scene: with its objects.
        seed: of all that is random.
    """

    def __init__(self, scene: Scene, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        count = len(scene.boxes)
        found = torch.from_numpy(self._random.random(count) < FOUND)
        boxes, labels = self._shaken(scene.boxes[found], 0.03), scene.labels[found]
        made_up = self._random.integers(0, count, round(MADE_UP * count))
        others = self._shaken(scene.boxes[made_up], 0.3)
        places = torch.from_numpy(self._random.random((len(others), 2)))
        others[:, :2] = places * torch.tensor([scene.width, scene.height])
        self.boxes, self.labels = torch.cat([boxes, others]), torch.cat([labels, scene.labels[made_up]])
        scores = np.concatenate([self._random.beta(5, 2, len(boxes)), self._random.beta(2, 5, len(others))])
        self.scores = torch.from_numpy(scores)
        self._hulls = oriented_boxes_to_horizontal(self.boxes).numpy()

    def detect(self, window: Window) -> Detections:
        """What it finds in a window, in pixels of the window, after non-maximum suppression."""
        left, top, right, bottom = self._hulls.T
        near = (left < window.right) & (right > window.left) & (top < window.bottom) & (bottom > window.top)
        boxes, kept = [], []
        for index in np.flatnonzero(near).tolist():
            part = visible_part(self.boxes[index], window)
            if part is not None:
                boxes.append(part)
                kept.append(index)
        found = self._shaken(torch.stack(boxes), 0.01) if boxes else torch.zeros(0, 5, dtype=torch.float64)
        scores = (self.scores[kept] + torch.from_numpy(self._random.normal(0, 0.05, len(kept)))).clamp(0.01, 0.99)
        found = found - torch.tensor([window.left, window.top, 0, 0, 0], dtype=torch.float64)
        best = batched_rotated_nms(found, scores, self.labels[kept], NMS_IOU)
        return {"boxes": found[best], "scores": scores[best].float(), "labels": self.labels[kept][best]}

    def _shaken(self, boxes: torch.Tensor, share: float) -> torch.Tensor:
        """Boxes off by a share of their sides."""
        noise = torch.from_numpy(self._random.normal(0, share, boxes.shape))
        sides = boxes[:, [2, 3, 2, 3]]
        moved = boxes[:, :4] + noise[:, :4] * sides
        return torch.cat([moved[:, :2], moved[:, 2:].clamp(min=2), boxes[:, 4:] + noise[:, 4:] / 2], dim=1)


def visible_part(box: torch.Tensor, window: Window) -> torch.Tensor | None:
    """The tightest box of the same angle around the part of a box `(5,)` inside a window; None for too little."""
    part = clip_polygon(oriented_boxes_to_corners(box[None])[0].numpy(), window)
    if len(part) < 3:
        return None
    cosine, sine = math.cos(box[4]), math.sin(box[4])
    along, across = part @ np.array([cosine, sine]), part @ np.array([-sine, cosine])
    sides = np.ptp(along), np.ptp(across)
    if sides[0] * sides[1] < LEAST_SHARE * float(box[2] * box[3]):
        return None
    u, v = (along.max() + along.min()) / 2, (across.max() + across.min()) / 2
    return torch.tensor([u * cosine - v * sine, u * sine + v * cosine, *sides, box[4]], dtype=torch.float64)


def tiled(oracle: Oracle, scene: Scene, settings: TileSettings) -> Detections:
    """What the oracle finds tile by tile, merged as `s5-hf detect` does."""
    grid = tile_grid(scene.height, scene.width, settings)
    found = {index: oracle.detect(grid[index]) for index in range(len(grid))}
    return merge_found(found, grid, (scene.height, scene.width), settings.merge_iou_threshold)


def synthetic_scenes(count: int, size: int) -> Iterator[Scene]:
    """Scenes of houses and cars."""
    for seed in range(count):
        scene = synthetic_scene(size, seed)
        yield Scene(
            f"synthetic {seed}", size, size, torch.tensor(scene.boxes).double(), torch.tensor(scene.box_labels)
        )


def crowded_scenes(count: int, size: int, longest: float) -> Iterator[Scene]:
    """Rows of parked boxes, 1 to 3 pixels apart, each row at an angle of its own, and long boxes of another class."""
    for seed in range(count):
        random = np.random.default_rng(seed)
        boxes, labels = [], []
        for y in range(60, size - 60, 110):
            for x in range(60, size - 60, 150):
                theta, long, short = (
                    random.uniform(-math.pi / 2, math.pi / 2),
                    random.uniform(24, 60),
                    random.uniform(8, 16),
                )
                gap = short + random.uniform(1, 3)
                for place in range(-3, 4):
                    across = place * gap
                    boxes.append([x - across * math.sin(theta), y + across * math.cos(theta), long, short, theta])
                    labels.append(0)
        for _ in range(len(boxes) // 20):
            x, y = random.uniform(0, size, 2)
            long = random.uniform(longest / 3, longest)
            boxes.append([x, y, long, long * random.uniform(0.15, 0.4), random.uniform(-math.pi / 2, math.pi / 2)])
            labels.append(1)
        yield Scene(f"crowded {seed}", size, size, torch.tensor(boxes, dtype=torch.float64), torch.tensor(labels))


def dota_scenes(folder: Path) -> Iterator[Scene]:
    """The annotated images of a folder with `images` and `labelTxt`; all classes are one."""
    for path in sorted((folder / "images").iterdir()):
        with Image.open(path) as image:
            width, height = image.size
        text = (folder / "labelTxt" / f"{path.stem}.txt").read_text(encoding="utf-8")
        polygons = np.array([found.polygon for found in parse_dota_text(text, path.stem)]).reshape(-1, 8)
        boxes = torch.from_numpy(polygons_to_boxes(polygons))
        inside = (boxes[:, 0] > 0) & (boxes[:, 1] > 0) & (boxes[:, 0] < width) & (boxes[:, 1] < height)
        yield Scene(path.stem, height, width, boxes[inside], torch.zeros(int(inside.sum()), dtype=torch.int64))


def compare(scenes: list[Scene], settings: TileSettings, labels: tuple[str, ...], seed: int = 0) -> dict[str, float]:
    """Objects, detections, AP50 and AP (mean over IoU 0.5 to 0.95), in percent, of whole scenes and of tiles."""
    metrics = {name: OrientedAveragePrecision(labels=list(labels)) for name in ("whole", "tiled")}
    counts = dict.fromkeys(metrics, 0)
    for number, scene in enumerate(scenes):
        oracle = Oracle(scene, seed + number)
        whole = oracle.detect(Window(0, 0, scene.width, scene.height))
        for name, found in (("whole", whole), ("tiled", tiled(oracle, scene, settings))):
            metrics[name].add_image(scene.name, found, {"boxes": scene.boxes, "labels": scene.labels})
            counts[name] += len(found["scores"])
    values: dict[str, float] = {"objects": sum(len(scene.boxes) for scene in scenes)}
    for name, metric in metrics.items():
        scores = metric.compute()
        values |= {f"{name} found": counts[name]}
        values |= {f"{name} AP50": 100 * scores["map_50"], f"{name} AP": 100 * scores["map"]}
    return values


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--dota", type=Path, help="folder with images and labelTxt")
    parser.add_argument("--synthetic", type=int, default=2, help="synthetic scenes of 1536 pixels a side")
    parser.add_argument("--crowded", type=int, default=2, help="crowded scenes of 1536 pixels a side")
    parser.add_argument("--only", help="run the sets of scenes whose names begin with this")
    arguments = parser.parse_args()
    sets = [
        ("synthetic", BOX_LABELS, list(synthetic_scenes(arguments.synthetic, 1536)), 512),
        ("crowded", ("parked", "long"), list(crowded_scenes(arguments.crowded, 1536, 90)), 512),
        (
            "crowded, long objects up to 250 px",
            ("parked", "long"),
            list(crowded_scenes(arguments.crowded, 1536, 250)),
            512,
        ),
    ]
    if arguments.dota:
        sets.append(("DOTA images", ("object",), list(dota_scenes(arguments.dota)), 400))
    print(
        "| scenes | objects | tile | merge IoU | found whole / tiled | AP50 whole | AP50 tiled | AP whole | AP tiled |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, labels, scenes, tile in sets:
        if arguments.only and not name.startswith(arguments.only):
            continue
        for merge_iou in (0.1, 0.5):
            settings = TileSettings(tile=tile, merge_iou_threshold=merge_iou)
            row = compare(scenes, settings, labels)
            scores = (f"{row[key]:.2f}" for key in ("whole AP50", "tiled AP50", "whole AP", "tiled AP"))
            found = f"{row['whole found']:,} / {row['tiled found']:,}"
            print(
                f"| {name} | {row['objects']:,} | {tile} | {merge_iou} | {found} | {' | '.join(scores)} |", flush=True
            )


if __name__ == "__main__":
    main()
