"""Suppression in many groups at once against that of every group by itself."""

import pytest
import torch

from s5_hf.modeling.grouped_suppression import kept_in_groups
from s5_hf.modeling.non_maximum_suppression import horizontal_nms


def random_groups(images: int, sizes: tuple[int, ...], extent: float) -> torch.Tensor:
    """Boxes `(images, sum of sizes, 4)` of up to 40 px, some of them without area."""
    values = torch.rand(images, sum(sizes), 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    corner, sides = values[..., :2] * extent - extent / 4, values[..., 2:] * 40
    sides[:, ::7, 0] = 0
    return torch.cat([corner, corner + sides], dim=-1).float()


def kept_one_by_one(boxes: torch.Tensor, sizes: tuple[int, ...], iou_threshold: float) -> torch.Tensor:
    """What `horizontal_nms` keeps of every group."""
    kept = torch.zeros(boxes.shape[:2], dtype=torch.bool)
    for image, row in enumerate(boxes):
        start = 0
        for group in row.split(sizes):
            chosen = horizontal_nms(group, torch.linspace(1, 0, len(group)), iou_threshold)
            kept[image, start + chosen] = True
            start += len(group)
    return kept


@pytest.mark.parametrize("sizes", [(150, 40, 1), (32,), (5, 200)])
@pytest.mark.parametrize(("extent", "iou_threshold"), [(30, 0.8), (60, 0.3), (200, 0.0), (30, 1.0)])
def test_groups_are_as_each_by_itself(sizes, extent, iou_threshold, monkeypatch):
    boxes = random_groups(2, sizes, extent)
    expected = kept_one_by_one(boxes, sizes, iou_threshold)
    assert torch.equal(kept_in_groups(boxes, sizes, iou_threshold), expected)
    monkeypatch.setattr("s5_hf.modeling.grouped_suppression._CPU_TILE_PAIRS", 1)
    assert torch.equal(kept_in_groups(boxes, sizes, iou_threshold), expected)


def test_chains_are_followed_to_their_end():
    """Each box overlaps only with its neighbours: of 90 every other one stays, which takes more than one question."""
    left = torch.arange(90.0) * 5
    boxes = torch.stack([left, left * 0, left + 9, left * 0 + 4], dim=1)[None]
    assert kept_in_groups(boxes, [90], 0.1)[0].tolist() == [True, False] * 45


def test_equal_boxes_keep_the_first_of_each_group():
    boxes = torch.tensor([0.0, 0, 4, 4]).repeat(1, 70, 1)
    kept = kept_in_groups(boxes, [30, 40], 0.5)
    assert kept[0].nonzero().flatten().tolist() == [0, 30]
