"""Rotated and horizontal NMS against the definition, written as a loop."""

import math
from collections.abc import Callable

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from s5_hf.modeling.non_maximum_suppression import (
    batched_horizontal_nms,
    batched_rotated_nms,
    horizontal_nms,
    rotated_nms,
)
from s5_hf.modeling.oriented_boxes import horizontal_to_oriented_boxes
from s5_hf.modeling.rotated_iou import rotated_iou


def random_detections(count: int, extent: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 5, generator=generator, dtype=torch.float64)
    boxes = unit * torch.tensor([extent, extent, 40, 40, math.pi]) + torch.tensor([0, 0, 1, 1, -math.pi / 2])
    return boxes.float(), torch.rand(count, generator=generator)


def greedy(overlaps: Tensor, scores: Tensor, iou_threshold: float) -> list[int]:
    """The definition: best first, keep what no kept one overlaps by more than the threshold."""
    kept: list[int] = []
    for index in scores.argsort(descending=True, stable=True).tolist():
        if all(overlaps[other, index] <= iou_threshold for other in kept):
            kept.append(index)
    return kept


def horizontal_iou(boxes: Tensor) -> Tensor:
    low, high = torch.maximum(boxes[:, None, :2], boxes[:, :2]), torch.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return shared / (areas[:, None] + areas - shared)


@pytest.mark.parametrize("iou_threshold", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("extent", [30, 400])
def test_rotated_equals_the_definition(iou_threshold: float, extent: float) -> None:
    boxes, scores = random_detections(250, extent)
    expected = greedy(rotated_iou(boxes.double(), boxes.double()), scores, iou_threshold)
    assert rotated_nms(boxes, scores, iou_threshold).tolist() == expected


@pytest.mark.parametrize("extent", [30, 400])
def test_horizontal_equals_the_definition(extent: float) -> None:
    boxes, scores = random_detections(250, extent)
    boxes = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], dim=1)
    expected = greedy(horizontal_iou(boxes.double()), scores, 0.3)
    assert 0 < len(expected) < 250
    assert horizontal_nms(boxes, scores, 0.3).tolist() == expected
    oriented = horizontal_to_oriented_boxes(boxes.double())
    assert rotated_nms(oriented, scores, 0.3).tolist() == expected


@pytest.mark.parametrize("suppress", [rotated_nms, horizontal_nms])
def test_blocks_and_chunks_do_not_show(suppress: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes, scores = random_detections(600, 150)
    if suppress is horizontal_nms:
        boxes = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], dim=1)
    expected = suppress(boxes, scores, 0.2)
    monkeypatch.setattr("s5_hf.modeling.non_maximum_suppression._BLOCK", 32)
    monkeypatch.setattr("s5_hf.modeling.non_maximum_suppression._PAIRS", 50)
    monkeypatch.setattr("s5_hf.modeling.hull_pairs._CPU_COMPARISONS", 1024)
    assert torch.equal(suppress(boxes, scores, 0.2), expected)


def test_chains_of_suppression() -> None:
    """Each box overlaps only with its neighbours: the first suppresses the second, so the third stays, and so on."""
    count = 101
    boxes = torch.zeros(count, 5)
    boxes[:, 0] = torch.arange(count) * 5.0
    boxes[:, 2:4] = torch.tensor([9.0, 4.0])
    scores = torch.linspace(1, 0, count)
    assert rotated_nms(boxes, scores, 0.1).tolist() == list(range(0, count, 2))


@given(st.integers(0, 2**31), st.permutations(list(range(40))))
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_input_does_not_matter(seed: int, order: list[int]) -> None:
    boxes, scores = random_detections(40, 60, seed)
    shuffled = torch.tensor(order)
    kept = rotated_nms(boxes, scores, 0.2)
    assert torch.equal(shuffled[rotated_nms(boxes[shuffled], scores[shuffled], 0.2)], kept)
    # What is kept suppresses nothing of itself, and all else is suppressed by something better.
    overlaps = rotated_iou(boxes.double(), boxes[kept].double())
    assert (overlaps[kept].triu(1) <= 0.2).all()
    dropped = sorted(set(range(40)) - set(kept.tolist()))
    better = scores[kept] >= scores[dropped][:, None]
    assert ((overlaps[dropped] > 0.2) & better).any(dim=1).all()


def test_equal_scores_keep_the_earlier_box() -> None:
    boxes = torch.tensor([[5.0, 5, 4, 4, 0]]).repeat(6, 1)
    assert rotated_nms(boxes, torch.ones(6), 0.5).tolist() == [0]
    assert horizontal_nms(torch.tensor([[0.0, 0, 4, 4]]).repeat(6, 1), torch.ones(6), 0.5).tolist() == [0]


def test_suppresses_above_the_threshold_not_at_it() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 2]])  # IoU exactly 0.5
    scores = torch.tensor([0.9, 0.8])
    assert horizontal_nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert horizontal_nms(boxes, scores, 0.4999).tolist() == [0]
    assert rotated_nms(horizontal_to_oriented_boxes(boxes), scores, 0.5).tolist() == [0, 1]


def test_too_thin_boxes_are_dropped() -> None:
    boxes = torch.tensor([[5.0, 5, 4, 0.0005, 0], [50, 5, 4, 4, 0], [90, 5, 0, 9, 0]])
    assert rotated_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [1]


@pytest.mark.parametrize("horizontal", [False, True])
def test_labels_do_not_touch_each_other(horizontal: bool) -> None:
    boxes, scores = random_detections(300, 80)
    suppress, batched = (horizontal_nms, batched_horizontal_nms) if horizontal else (rotated_nms, batched_rotated_nms)
    if horizontal:
        boxes = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], dim=1)
    labels = torch.randint(-2, 5, (300,), generator=torch.Generator().manual_seed(1))
    expected = [
        index
        for label in labels.unique()
        for index in (labels == label)
        .nonzero()
        .flatten()[suppress(boxes[labels == label], scores[labels == label], 0.1)]
    ]
    kept = batched(boxes, scores, labels, 0.1)
    assert sorted(kept.tolist()) == sorted(int(index) for index in expected)
    assert (scores[kept].diff() <= 0).all()
    assert len(kept) > len(suppress(boxes, scores, 0.1))


def test_far_coordinates_keep_their_digits() -> None:
    """An offset per label, large enough for these coordinates, would round the boxes to 8 pixels in float32."""
    boxes = torch.tensor([[100_000.0, 100_000, 6, 6, 0.1], [100_004, 100_000, 6, 6, 0.1]]).repeat(2, 1)
    labels = torch.tensor([0, 0, 900, 900])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    assert batched_rotated_nms(boxes, scores, labels, 0.21).tolist() == [0, 1, 2, 3]
    assert batched_rotated_nms(boxes, scores, labels, 0.15).tolist() == [0, 2]


def test_nothing_in_nothing_out() -> None:
    for kept in (
        rotated_nms(torch.zeros(0, 5), torch.zeros(0), 0.5),
        horizontal_nms(torch.zeros(0, 4), torch.zeros(0), 0.5),
        batched_rotated_nms(torch.zeros(0, 5), torch.zeros(0), torch.zeros(0, dtype=torch.long), 0.5),
    ):
        assert kept.shape == (0,)
        assert kept.dtype == torch.long


def test_bad_input() -> None:
    boxes, scores = random_detections(3, 10)
    with pytest.raises(ValueError, match=r"scores must be \[3\]"):
        rotated_nms(boxes, scores[:2], 0.5)
    with pytest.raises(ValueError, match=r"iou_threshold must lie in 0..1, got 50"):
        rotated_nms(boxes, scores, 50)
    with pytest.raises(ValueError, match=r"boxes must be \[N, 4\], got shape \(3, 5\)"):
        horizontal_nms(boxes, scores, 0.5)
    with pytest.raises(ValueError, match=r"labels and scores must be \[N\] alike"):
        batched_rotated_nms(boxes, scores, torch.zeros(2), 0.5)
    with pytest.raises(ValueError, match=r"scores\[1\] is NaN"):
        rotated_nms(boxes, torch.tensor([1, math.nan, 0]), 0.5)
    with pytest.raises(ValueError, match=r"boxes\[1\] is \[5.0, 5.0, 4.0, 6.0\]: expected x1 <= x2"):
        horizontal_nms(torch.tensor([[0.0, 0, 1, 1], [5, 5, 4, 6]]), scores[:2], 0.5)
    boxes[2, 4] = math.nan
    with pytest.raises(ValueError, match=r"boxes\[2\].*finite"):
        rotated_nms(boxes, scores, 0.5)
