"""The objects found in a scene, and the JSON file that keeps them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...files.atomic import write_text
from ...imaging.scene_files import scene_stem
from ...modeling.oriented_boxes import oriented_boxes_to_corners, oriented_boxes_to_horizontal
from ...predictors.interfaces import Detections
from ..scene_names import relative_source

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS

__all__ = ["SceneDetections", "read_coco_detections", "write_coco_detections"]

FORMAT = "s5_hf scene detections 1"
MEMORY = "image"
"""The name of a picture that comes from no file."""


@dataclass(frozen=True)
class SceneDetections:
    """What `detect_scene` found.

    Attributes:
        name: path or URL of the scene, or `image` for a picture in memory.
        width, height: of the scene in pixels.
        class_names: in the order of the ids.
        boxes: float64 `(n, 5)`, cx, cy, w, h in pixels, theta in radians, clockwise on the screen; best first.
        scores: float32 `(n,)`.
        labels: int64 `(n,)`, class ids.
        crs, transform: of rasterio; None where the scene has none.
        notes: what the user should know, a sentence each.
        files: what was written, by its kind: `json`, `geojson`, `gpkg`, `overlay`.
    """

    name: str
    width: int
    height: int
    class_names: tuple[str, ...]
    boxes: Tensor
    scores: Tensor
    labels: Tensor
    crs: CRS | None = None
    transform: Affine | None = None
    notes: list[str] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def stem(self) -> str:
        """The scene's name without folder and suffix, under which DOTA's result files list it."""
        return scene_stem(self.name)

    def as_tensors(self) -> Detections:
        """`boxes`, `scores` and `labels`."""
        return {"boxes": self.boxes, "scores": self.scores, "labels": self.labels}

    def counts(self) -> dict[str, int]:
        """How many objects there are of each class that occurs, most first."""
        found = Counter(self.labels.tolist())
        return {self.class_names[label]: count for label, count in found.most_common()}


def write_coco_detections(found: SceneDetections, path: Path, model: str, task: str | None) -> None:
    """Write a JSON file in COCO's layout: `images`, `categories` and `annotations`.

    An annotation has `bbox` (left, top, width, height of the hull), `segmentation` (the four corners), `area`,
    `category_id` (from 0), `score`, and `obb` (cx, cy, w, h in pixels, theta in radians).
    """
    name = found.name if found.name == MEMORY else relative_source(found.name, path.parent)
    image = {"id": 0, "file_name": name}
    content = {
        "info": {"format": FORMAT, "model": model, "task": task},
        "images": [{**image, "width": found.width, "height": found.height}],
        "categories": [{"id": index, "name": name} for index, name in enumerate(found.class_names)],
        "annotations": _annotations(found),
    }
    write_text(path, json.dumps(content, ensure_ascii=False) + "\n")


def _annotations(found: SceneDetections) -> list[dict[str, Any]]:
    hulls = oriented_boxes_to_horizontal(found.boxes)
    sides = hulls[:, 2:] - hulls[:, :2]
    bboxes = torch.cat([hulls[:, :2], sides], dim=1).tolist()
    corners = oriented_boxes_to_corners(found.boxes).flatten(1).tolist()
    rows = zip(bboxes, corners, found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    return [
        {
            "id": index,
            "image_id": 0,
            "category_id": label,
            "score": round(score, 6),
            "bbox": _rounded(bbox, 3),
            "segmentation": [_rounded(outline, 3)],
            "area": round(box[2] * box[3], 3),
            "obb": [*_rounded(box[:4], 4), round(box[4], 7)],
            "iscrowd": 0,
        }
        for index, (bbox, outline, box, score, label) in enumerate(rows)
    ]


def _rounded(values: Sequence[float], decimals: int) -> list[float]:
    return [round(value, decimals) for value in values]


def read_coco_detections(path: str | Path) -> SceneDetections:
    """Read what `write_coco_detections` wrote; without CRS.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is another kind of file.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["info"]["format"] != FORMAT:
            raise KeyError(content["info"]["format"])
        image, annotations = content["images"][0], content["annotations"]
        return SceneDetections(
            name=image["file_name"],
            width=image["width"],
            height=image["height"],
            class_names=tuple(category["name"] for category in content["categories"]),
            boxes=torch.tensor([found["obb"] for found in annotations], dtype=torch.float64).reshape(-1, 5),
            scores=torch.tensor([found["score"] for found in annotations], dtype=torch.float32),
            labels=torch.tensor([found["category_id"] for found in annotations], dtype=torch.int64),
            files={"json": path},
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path} holds no detections of a scene ({FORMAT}): {error!r}") from error
