"""Objects of whole scenes: what tiles find is merged so that each object comes once and whole."""

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from s5_hf.imaging.polygon_clipping import clip_convex, polygon_area
from s5_hf.imaging.windows import Window
from s5_hf.modeling.non_maximum_suppression import batched_rotated_nms
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_corners
from s5_hf.modeling.rotated_iou import elementwise_rotated_iou, rotated_iou
from s5_hf.scenes.detection import TileSettings, detect_scene
from s5_hf.scenes.detection.tile_detection import tile_grid
from s5_hf.scenes.detection.tile_merging import cut_by_tiles, join_parts, merge_tiles, shared_view_iou
from tests.scenes.detectors import OracleDetector, match, position_image, scattered_boxes

TILES = TileSettings(tile=256, overlap=0.375, batch_size=3, threshold=0.1)
SHIP = torch.tensor([[60.0, 40.0, 50.0, 14.0, 0.4], [100.0, 90.0, 30.0, 12.0, -1.0]])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("flips", [("none",), ("horizontal", "both")])
def test_the_objects_of_a_scene_are_found_once_and_whole(seed, flips):
    """The parts at tile borders have better scores than the whole objects, and lose."""
    boxes, labels = scattered_boxes(500, 700, seed)
    detector = OracleDetector(boxes, labels)
    settings = TileSettings(tile=256, overlap=0.375, batch_size=3, flips=flips, threshold=0.1)
    found = detect_scene(detector, position_image(500, 700), settings=settings, progress=False)
    assert match(found, boxes, labels) > 0.9999
    assert max(shape[0] for shape in detector.batches) == 3
    # Without the rule parts stay in place of objects.
    parts = torch.stack([part for part, *_ in detector.seen])
    scores, classes = (torch.tensor([seen[column] for seen in detector.seen]) for column in (1, 2))
    plain = parts[batched_rotated_nms(parts, scores, classes, 0.1)]
    assert (rotated_iou(plain, boxes).amax(dim=0) < 0.8).sum() > 10
    # The score is the best of all views of the object, and the list is sorted by it.
    views = rotated_iou(parts, found.boxes[:1], mode="iof")[:, 0] > 0.9
    assert found.scores[0] == pytest.approx(scores[views].max().item()) and (found.scores.diff() <= 0).all()


def test_neighbours_side_by_side_at_a_border_all_stay():
    """Trucks parked 2 px apart, the border of a tile through every one of them."""
    rows = torch.arange(20) * 16 + 30.0
    boxes = torch.stack([torch.full((20,), 250.0), rows, *torch.tensor([60, 14, 0.0]).expand(20, 3).T], dim=1)
    detector = OracleDetector(boxes, torch.zeros(20, dtype=torch.int64))
    found = detect_scene(detector, position_image(400, 700), settings=TILES, progress=False)
    assert match(found, boxes.double(), torch.zeros(20, dtype=torch.int64)) > 0.9999
    assert len(detector.seen) > 40


@pytest.mark.parametrize("theta", [0.0, 0.7, -1.4])
def test_an_object_cut_in_every_tile_is_found_once_and_whole(theta):
    boxes = torch.tensor([[300.0, 220.0, 380.0, 40.0, theta]])
    detector = OracleDetector(boxes, torch.tensor([1]), least=0.05)
    found = detect_scene(detector, position_image(440, 700), settings=TILES, progress=False)
    assert len(detector.seen) > 2 and all(share < 1 for *_, share in detector.seen)
    assert len(found) == 1 and found.scores[0] == pytest.approx(max(score for _, score, *_ in detector.seen))
    assert rotated_iou(found.boxes, boxes.double()).item() > (0.9999 if theta == 0 else 0.9)


def test_parts_that_do_not_make_one_box_are_not_joined():
    along = torch.tensor([[100.0, 50, 80, 20, 0], [150, 50, 80, 20, 0]], dtype=torch.float64)
    torch.testing.assert_close(join_parts(along), torch.tensor([125.0, 50, 130, 20, 0], dtype=torch.float64))
    torch.testing.assert_close(join_parts(along.flip(0)), join_parts(along))
    across = torch.tensor([[100.0, 50, 80, 20, 0], [150, 80, 80, 20, 0]], dtype=torch.float64)
    assert torch.equal(join_parts(across), across[0])
    apart = torch.tensor([[100.0, 50, 80, 20, 0], [300, 50, 80, 20, 0]], dtype=torch.float64)
    assert torch.equal(join_parts(apart), apart[0])
    assert torch.equal(join_parts(along[:1]), along[0])


def test_tiles_score_as_the_whole_scene_does():
    """The benchmark in small: an oracle that misses, invents and blurs, the same in every window."""
    benchmark = load_benchmark("tile_merging")
    scenes = list(benchmark.crowded_scenes(1, 640, 180))
    values = benchmark.compare(scenes, TileSettings(tile=256), ("parked", "long"))
    assert values["objects"] > 100
    assert values["tiled AP50"] > values["whole AP50"] - 0.5 and values["tiled AP"] > values["whole AP"] - 0.5
    assert values["tiled found"] == pytest.approx(values["whole found"], rel=0.02)


def load_benchmark(name):
    """A script of benchmarks/ as a module."""
    script = Path(__file__).parents[3] / "benchmarks" / f"{name}.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(script.parent))
        specification = importlib.util.spec_from_file_location(name, script)
        module = importlib.util.module_from_spec(specification)
        patch.setitem(sys.modules, name, module)  # dataclasses look their module up
        specification.loader.exec_module(module)
    return module


def test_objects_at_the_border_of_the_scene_are_not_cut():
    grid = tile_grid(500, 700, TILES)
    assert (grid.tops, grid.lefts) == ((0, 160, 244), (0, 160, 320, 444))
    touching = torch.tensor([[10, 10, 20, 20, 0], [690, 490, 20, 20, 0], [246, 100, 20, 10, 0], [500, 254, 10, 20, 0]])
    cut = cut_by_tiles(touching.double(), torch.tensor([0, 11, 0, 10]), grid, (500, 700))
    assert cut.tolist() == [False, False, True, True]
    small = OracleDetector(torch.tensor([[30.0, 20.0, 60.0, 40.0, 0.0]]), torch.tensor([0]))
    found = detect_scene(small, position_image(40, 60), settings=TILES, progress=False)
    assert small.batches == [(1, 3, 40, 60)] and len(found) == 1  # one tile, of the scene's own size


def test_classes_do_not_suppress_each_other_and_tiles_are_not_compared_with_themselves():
    grid = tile_grid(256, 416, TILES)  # tiles at 0 and 160
    whole, part = [281.0, 100, 60, 20, 0], [253.5, 100, 5, 20, 0]  # tile 0 ends at 256
    boxes = torch.tensor([whole, part, part, whole, whole])
    found = {
        "boxes": boxes,
        "scores": torch.tensor([0.3, 0.9, 0.8, 0.2, 0.1]),
        "labels": torch.tensor([0, 0, 1, 0, 0]),
    }
    merged = merge_tiles(found, torch.tensor([1, 0, 0, 1, 1]), grid, (256, 416), 0.1)
    # The part in tile 0 (0.9) is beaten by the whole object in tile 1, which takes its score.
    assert merged["scores"].tolist() == pytest.approx([0.9, 0.8, 0.2, 0.1])
    assert merged["labels"].tolist() == [0, 1, 0, 0]
    assert merged["boxes"][0].tolist() == whole
    assert found["scores"][0] == pytest.approx(0.3)  # nothing is changed in place


@pytest.mark.parametrize(("merge_iou_threshold", "count"), [(0.1, 1), (0.5, 2)])
def test_how_much_objects_of_two_tiles_may_overlap(merge_iou_threshold, count):
    """The second tile sees the object 18 pixels beside: an IoU of 22 / 58."""

    class Jumps(OracleDetector):
        def detect(self, pixel_values, *settings):
            first, second = super().detect(pixel_values, *settings)
            return [first, {**second, "boxes": second["boxes"] + torch.tensor([18.0, 0, 0, 0, 0])}]

    detector = Jumps(torch.tensor([[200.0, 100, 40, 20, 0]]), torch.tensor([0]))
    settings = TileSettings(tile=256, overlap=0.375, merge_iou_threshold=merge_iou_threshold)
    found = detect_scene(detector, position_image(256, 416), settings=settings, progress=False)
    assert len(detector.seen) == 2 and len(found) == count


def test_shared_views_against_a_count_of_points():
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(20, 5, generator=generator, dtype=torch.float64) * torch.tensor([40, 40, 40, 30, 3.0])
    second = first + torch.rand(20, 5, generator=generator, dtype=torch.float64) * torch.tensor([9, 9, 9, 9, 1.0])
    window = Window(10, 5, 42, 60)
    y, x = np.mgrid[5:60:0.125, 10:42:0.125] + 0.0625
    for one, other in zip(first, second, strict=True):
        inside = []
        for cx, cy, w, h, theta in (one.tolist(), other.tolist()):
            along = (x - cx) * math.cos(theta) + (y - cy) * math.sin(theta)
            across = (y - cy) * math.cos(theta) - (x - cx) * math.sin(theta)
            inside.append((abs(along) < w / 2) & (abs(across) < h / 2))
        union = (inside[0] | inside[1]).sum()
        expected = (inside[0] & inside[1]).sum() / union if inside[0].any() and inside[1].any() else 0
        corners = oriented_boxes_to_corners(torch.stack([one, other])).numpy()
        assert shared_view_iou(corners[0], corners[1], window) == pytest.approx(expected, abs=0.02)
        # Without a window it is the IoU of the boxes; the direction of the corners does not matter.
        area = polygon_area(clip_convex(corners[0][::-1], corners[1]))
        iou = area / (polygon_area(corners[0]) + polygon_area(corners[1]) - area)
        assert iou == pytest.approx(elementwise_rotated_iou(one[None], other[None]).item(), abs=1e-9)
