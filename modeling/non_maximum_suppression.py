"""Non-maximum suppression of oriented and of horizontal boxes, exact and greedy by score.

A box is kept if its overlap with every kept box of a higher score is at most the threshold. The boxes are taken in
blocks, best first: the greedy choice is made within a block, then the kept ones suppress what comes after. So crowded
boxes are gone before they are compared with each other, and the memory does not grow with the square of their number.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .hull_pairs import overlapping_hulls
from .oriented_boxes import check_oriented_boxes, oriented_boxes_to_horizontal
from .rotated_iou import MINIMUM_SIDE, pairwise_overlaps

__all__ = ["batched_horizontal_nms", "batched_rotated_nms", "horizontal_nms", "rotated_nms"]

# The least number of boxes in a block, and the largest number of blocks: in small blocks crowds vanish sooner, in few
# the pairs that meet are found faster.
_BLOCK, _BLOCKS = 1024, 32
# Pairs compared at once; bounds the memory.
_PAIRS = 1 << 16

# Index pairs (rows, columns) of boxes of the first set that overlap too much with boxes of the second.
_FindConflicts = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def rotated_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the oriented boxes that survive, best score first.

    Args:
        boxes: [N, 5]: cx, cy, w, h in pixels, theta in radians.
        scores: [N]. Of equal scores the earlier box comes first.
        iou_threshold: a box is suppressed where its rotated IoU with a kept one is greater.

    Returns:
        int64 [K]. Boxes with a side below `MINIMUM_SIDE` are never kept (as in the official release).

    Raises:
        ValueError: wrong shapes, NaN, a negative size, or a threshold outside of [0, 1].
    """
    check_oriented_boxes(boxes)
    _check(boxes, scores, 5, iou_threshold)
    exact = boxes.detach().to(torch.float32 if boxes.device.type == "mps" else torch.float64)
    hulls, areas = oriented_boxes_to_horizontal(exact), exact[:, 2] * exact[:, 3]

    def conflicts(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = overlapping_hulls(hulls[first], hulls[second])
        # A little less than the threshold: rounding must not cut off a pair that is just above it.
        possible = _hull_iou(hulls, areas, first[rows], second[columns]) > iou_threshold * 0.9999
        rows, columns = rows[possible], columns[possible]
        over = pairwise_overlaps(exact, first[rows], second[columns]) > iou_threshold
        return rows[over], columns[over]

    order = scores.argsort(descending=True, stable=True)
    return _greedy(order[(boxes[order, 2:4] >= MINIMUM_SIDE).all(dim=-1)], conflicts)


def horizontal_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """As `rotated_nms`, for horizontal boxes [N, 4]: x1, y1, x2, y2 in pixels.

    Boxes of any size take part; a box without area overlaps with nothing.
    """
    _check(boxes, scores, 4, iou_threshold)
    ordered = (boxes[:, 2:] >= boxes[:, :2]).all(dim=-1)  # false for NaN too
    if not ordered.all():
        row = int((~ordered).nonzero()[0])
        raise ValueError(f"boxes[{row}] is {boxes[row].tolist()}: expected x1 <= x2 and y1 <= y2")
    exact = boxes.detach().to(torch.float32 if boxes.device.type == "mps" else torch.float64)
    areas = (exact[:, 2] - exact[:, 0]) * (exact[:, 3] - exact[:, 1])

    def conflicts(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = overlapping_hulls(exact[first], exact[second])
        over = _hull_iou(exact, areas, first[rows], second[columns]) > iou_threshold
        return rows[over], columns[over]

    return _greedy(scores.argsort(descending=True, stable=True), conflicts)


def batched_rotated_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """`rotated_nms` within each label: boxes of different labels, integers [N], never suppress each other.

    Each label is treated on its own. (The usual trick, to move the labels apart by an offset and to treat them
    together, costs digits of large coordinates.)
    """
    return _per_label(rotated_nms, boxes, scores, labels, iou_threshold)


def batched_horizontal_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """`horizontal_nms` within each label: boxes of different labels, integers [N], never suppress each other."""
    return _per_label(horizontal_nms, boxes, scores, labels, iou_threshold)


def _per_label(
    suppress: Callable[[Tensor, Tensor, float], Tensor],
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    iou_threshold: float,
) -> Tensor:
    if labels.shape != scores.shape:
        raise ValueError(f"labels and scores must be [N] alike, got {tuple(labels.shape)} and {tuple(scores.shape)}")
    keep = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    for label in labels.unique():
        members = (labels == label).nonzero().squeeze(-1)
        keep[members[suppress(boxes[members], scores[members], iou_threshold)]] = True
    order = scores.argsort(descending=True, stable=True)
    return order[keep[order]]


def _check(boxes: Tensor, scores: Tensor, size: int, iou_threshold: float) -> None:
    if boxes.ndim != 2 or boxes.shape[-1] != size:
        raise ValueError(f"boxes must be [N, {size}], got shape {tuple(boxes.shape)}")
    if scores.shape != boxes.shape[:1]:
        raise ValueError(f"scores must be [{len(boxes)}], one per box, got shape {tuple(scores.shape)}")
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f"iou_threshold must lie in 0..1, got {iou_threshold}")
    if scores.isnan().any():
        raise ValueError(f"scores[{int(scores.isnan().nonzero()[0])}] is NaN")


def _hull_iou(hulls: Tensor, areas: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """IoU [P] of pairs of horizontal boxes that meet; for the hulls and areas of oriented boxes, an upper bound."""
    chunks = []
    for row, column in zip(rows.split(_PAIRS), columns.split(_PAIRS), strict=True):
        left1, top1, right1, bottom1 = hulls.index_select(0, row).unbind(-1)
        left2, top2, right2, bottom2 = hulls.index_select(0, column).unbind(-1)
        width = torch.minimum(right1, right2) - torch.maximum(left1, left2)
        height = torch.minimum(bottom1, bottom2) - torch.maximum(top1, top2)
        area1, area2 = areas[row], areas[column]
        # Boxes share at most what their hulls share, and at most the smaller box.
        shared = torch.minimum(width * height, torch.minimum(area1, area2))
        chunks.append(shared / (area1 + area2 - shared))
    return torch.cat(chunks)


def _greedy(order: Tensor, conflicts: _FindConflicts) -> Tensor:
    """The kept ones of `order`, indices of boxes from the best down."""
    size = max(_BLOCK, len(order) // _BLOCKS)
    kept = [order[:0]]
    while len(order):
        block, order = order[:size], order[size:]
        rows, columns = conflicts(block, block)
        later = rows < columns
        block = block[_resolve(len(block), rows[later], columns[later])]
        kept.append(block)
        if len(order):
            survives = torch.ones(len(order), dtype=torch.bool, device=order.device)
            survives[conflicts(block, order)[1]] = False
            order = order[survives]
    return torch.cat(kept)


def _resolve(count: int, rows: Tensor, columns: Tensor) -> Tensor:
    """Which of `count` boxes, best first, the greedy choice keeps, given the pairs (row < column) that conflict.

    keep[j] = no kept i < j conflicts with j. This has one solution, and repeating it from any start reaches it: after
    n rounds at least the first n entries are right, and in practice the chains of suppression are short.
    """
    keep = torch.ones(count, dtype=torch.bool, device=rows.device)
    while True:
        updated = torch.ones_like(keep)
        updated[columns[keep[rows]]] = False
        if torch.equal(updated, keep):
            return keep
        keep = updated
