"""Exact intersection over union of oriented boxes.

In the axes of the first box, the first box is [-w/2, w/2] x [-h/2, h/2] and the second is a convex polygon. The area
they share is the integral of clamp(upper(x)) - clamp(lower(x)) over x in [-w/2, w/2], where upper and lower bound the
polygon and clamp cuts to [-h/2, h/2]. By Green's theorem that is a sum over the four edges of the polygon,

    area = | sum over edges of the integral of clamp(y(x)) dx, x cut to [-w/2, w/2] |

and each term has a closed form. There are no intersection points to find, sort or merge, and no case to tell from
another: the sum depends continuously on the boxes, so touching, nested and identical boxes are as exact as any.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .hull_pairs import overlapping_hulls
from .oriented_boxes import check_oriented_boxes, oriented_boxes_to_horizontal

__all__ = [
    "MINIMUM_SIDE",
    "elementwise_rotated_iou",
    "iou_matrices",
    "iou_of_checked_boxes",
    "pairwise_overlaps",
    "rotated_iou",
]

MINIMUM_SIDE = 1e-3
"""Boxes with a side below this, in pixels, overlap with nothing (as in the official release)."""

# Pairs computed at once: on a CPU few enough for the intermediate results to stay in its cache.
_CPU_PAIRS, _GPU_PAIRS = 1 << 13, 1 << 22
# Shares of the smaller box beyond this are never rounding errors.
_SMALL_SHARE = 1e-3
# Entries of the result whose pairs are listed at once; bounds the memory.
_LISTED = 1 << 22


def rotated_iou(boxes1: Tensor, boxes2: Tensor, mode: Literal["iou", "iof"] = "iou") -> Tensor:
    """Overlap of every box of one set with every box of another.

    Args:
        boxes1, boxes2: [N, 5] and [M, 5]: cx, cy, w, h in pixels, theta in radians (see `oriented_boxes`).
        mode: "iou": intersection over union; "iof": intersection over the area of the box of the first set.

    Returns:
        [N, M], 0 to 1, of the boxes' dtype. The arithmetic is float64 where the device has it, whatever the dtype.
        Only pairs whose horizontal hulls meet are computed. Boxes that share no area, and a box with a side below
        `MINIMUM_SIDE`, get exactly 0.

    Raises:
        ValueError: a wrong shape or mode, NaN, or a negative size.
    """
    _check(boxes1, boxes2, mode)
    return iou_of_checked_boxes(boxes1, boxes2, mode)


def iou_of_checked_boxes(boxes1: Tensor, boxes2: Tensor, mode: Literal["iou", "iof"] = "iou") -> Tensor:
    """`rotated_iou` of boxes that are known to be finite: on a GPU a check waits for the device."""
    first, second = _exact(boxes1, boxes2)
    hulls1, hulls2 = oriented_boxes_to_horizontal(first).detach(), oriented_boxes_to_horizontal(second).detach()
    step = max(1, _LISTED // max(1, len(second)))
    blocks = []
    for start in range(0, len(first), step):
        block = boxes1.new_zeros(len(first[start : start + step]), len(second))
        rows, columns = overlapping_hulls(hulls1[start : start + step], hulls2)
        values = _chunked_overlaps(first, second, rows + start, columns, mode).to(block.dtype)
        blocks.append(block.index_put((rows, columns), values))
    return torch.cat(blocks) if blocks else boxes1.new_zeros(0, len(second))


def elementwise_rotated_iou(boxes1: Tensor, boxes2: Tensor, mode: Literal["iou", "iof"] = "iou") -> Tensor:
    """Overlap of each box with its partner: [N, 5] and [N, 5] give [N]; otherwise as `rotated_iou`.

    Both functions are differentiable. Where boxes only touch or sides coincide the value has a kink, and the gradient
    is one of its one-sided ones; it is finite everywhere.
    """
    if len(boxes1) != len(boxes2):
        raise ValueError(f"boxes1 and boxes2 must have the same length, got {len(boxes1)} and {len(boxes2)}")
    _check(boxes1, boxes2, mode)
    first, second = _exact(boxes1, boxes2)
    indices = torch.arange(len(first), device=first.device)
    return _chunked_overlaps(first, second, indices, indices, mode).to(boxes1.dtype)


def pairwise_overlaps(boxes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Intersection over union [P] of the pairs (boxes[rows], boxes[columns]) of one set [N, 5], in its precision."""
    return _chunked_overlaps(boxes, boxes, rows, columns, "iou")


def iou_matrices(boxes: Tensor) -> Tensor:
    """Intersection over union `[B, N, N]` of all boxes `[B, N, 5]` of a set with one another, in their precision.

    Every pair is computed, also of boxes that lie far apart, so that the work does not depend on where they lie: a
    traced graph can hold it. Boxes that touch may get a rounding error instead of 0.
    """
    terms = _terms(boxes)
    first, second = terms[..., :, None], terms[..., None, :]
    areas = 4 * terms[2] * terms[3]
    area1, area2 = areas[..., :, None], areas[..., None, :]
    shared = torch.minimum(_intersection_areas(first, second).clamp(min=0), torch.minimum(area1, area2))
    whole = area1 + area2 - shared
    return shared / torch.where(whole > 0, whole, 1)


def _check(boxes1: Tensor, boxes2: Tensor, mode: str) -> None:
    if mode not in ("iou", "iof"):
        raise ValueError(f"mode must be 'iou' or 'iof', got {mode!r}")
    for name, boxes in (("boxes1", boxes1), ("boxes2", boxes2)):
        check_oriented_boxes(boxes, name)
        if boxes.ndim != 2:
            raise ValueError(f"{name} must be [N, 5], got shape {tuple(boxes.shape)}")


def _exact(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets in the precision of the arithmetic."""
    dtype = torch.float32 if boxes1.device.type == "mps" else torch.float64  # Apple's GPUs know no float64
    return boxes1.to(dtype), boxes2.to(dtype)


def _chunked_overlaps(first: Tensor, second: Tensor, rows: Tensor, columns: Tensor, mode: str) -> Tensor:
    """Overlaps of the pairs (first[rows], second[columns])."""
    terms1, terms2 = _terms(first), _terms(second)
    step = _GPU_PAIRS if first.is_cuda else _CPU_PAIRS
    chunks = [
        _overlaps(terms1.index_select(1, row), terms2.index_select(1, column), mode)
        for row, column in zip(rows.split(step), columns.split(step), strict=True)
    ]
    return torch.cat(chunks)


def _terms(boxes: Tensor) -> Tensor:
    """What a pair needs of each box [..., 5], [6, ...]: cx, cy, w/2, h/2, cos theta, sin theta. Thin ones vanish."""
    cx, cy, w, h, theta = boxes.unbind(-1)
    exists = torch.minimum(w, h) >= MINIMUM_SIDE
    return torch.stack([cx, cy, w / 2 * exists, h / 2 * exists, theta.cos(), theta.sin()])


def _overlaps(first: Tensor, second: Tensor, mode: str) -> Tensor:
    """Overlaps [n] of n pairs, given by their terms [6, n]."""
    intersection = _intersection_areas(first, second)
    area1, area2 = 4 * first[2] * first[3], 4 * second[2] * second[3]
    smaller = torch.minimum(area1, area2)
    intersection = torch.minimum(intersection.clamp(min=0), smaller)  # rounding
    small = ((intersection > 0) & (intersection < _SMALL_SHARE * smaller)).nonzero().squeeze(-1)
    apart = torch.zeros_like(intersection, dtype=torch.bool)
    apart[small] = _apart(first[:, small], second[:, small])
    intersection = intersection.masked_fill(apart, 0)
    whole = area1 if mode == "iof" else area1 + area2 - intersection
    return intersection / torch.where(whole > 0, whole, 1)


def _apart(first: Tensor, second: Tensor) -> Tensor:
    """Whether pairs [n] share no area, given by their terms [6, n]: a side of one of the boxes separates them.

    The terms of an area that is 0 cancel up to their rounding only, so such pairs are told by their separation. Boxes
    that overlap by less than the rounding of their coordinates count as touching.
    """
    cx1, cy1, half_w1, half_h1, cosine1, sine1 = first
    cx2, cy2, half_w2, half_h2, cosine2, sine2 = second
    dx, dy = cx2 - cx1, cy2 - cy1
    cosine, sine = (cosine1 * cosine2 + sine1 * sine2).abs(), (cosine1 * sine2 - sine1 * cosine2).abs()
    size = torch.stack([cx1.abs() + cy1.abs(), cx2.abs() + cy2.abs(), half_w1, half_h1, half_w2, half_h2]).sum(dim=0)
    rounding = 8 * torch.finfo(first.dtype).eps * size
    gap = torch.maximum(
        torch.maximum(
            (cosine1 * dx + sine1 * dy).abs() - half_w1 - half_w2 * cosine - half_h2 * sine,
            (cosine1 * dy - sine1 * dx).abs() - half_h1 - half_w2 * sine - half_h2 * cosine,
        ),
        torch.maximum(
            (cosine2 * dx + sine2 * dy).abs() - half_w2 - half_w1 * cosine - half_h1 * sine,
            (cosine2 * dy - sine2 * dx).abs() - half_h2 - half_w1 * sine - half_h1 * cosine,
        ),
    )
    return gap >= -rounding


def _intersection_areas(first: Tensor, second: Tensor) -> Tensor:
    """Areas [n] that n pairs share, given by their terms [6, n]."""
    cx1, cy1, half_w, half_h, cosine1, sine1 = first
    cx2, cy2, half_w2, half_h2, cosine2, sine2 = second
    # The second box in the axes of the first: its centre, and half of its w side (a) and of its h side (b).
    dx, dy = cx2 - cx1, cy2 - cy1
    x, y = cosine1 * dx + sine1 * dy, cosine1 * dy - sine1 * dx
    cosine, sine = cosine1 * cosine2 + sine1 * sine2, cosine1 * sine2 - sine1 * cosine2
    ax, ay, bx, by = half_w2 * cosine, half_w2 * sine, -half_h2 * sine, half_h2 * cosine

    corners_x = torch.stack([x - ax - bx, x + ax - bx, x + ax + bx, x - ax + bx, x - ax - bx])  # [5, n], closed
    corners_y = torch.stack([y - ay - by, y + ay - by, y + ay + by, y - ay + by, y - ay - by])
    cut_x = torch.clamp(corners_x, -half_w, half_w)
    excess = cut_x - corners_x
    # Opposite edges run along (step_x, step_y) there and back.
    step_x, step_y = 2 * torch.stack([ax, bx]), 2 * torch.stack([ay, by])
    step_x = torch.where(step_x == 0, 1, step_x)
    step_x, step_y = torch.cat([step_x, -step_x]), torch.cat([step_y, -step_y])  # [4, n]
    # Where each edge enters and leaves x in [-w/2, w/2]. An edge outside of it counts 0, whatever its y becomes.
    start = corners_y[:-1] + (excess[:-1] / step_x).clamp(0, 1) * step_y
    end = corners_y[1:] + (excess[1:] / step_x).clamp(-1, 0) * step_y
    # The mean of clamp(y) while y runs evenly from start to end.
    cut_start, cut_end = torch.clamp(start, -half_h, half_h), torch.clamp(end, -half_h, half_h)
    run = end - start
    share = (cut_end - cut_start) / torch.where(run == 0, 1, run)
    both = cut_start + cut_end
    mean = (both + share * (start + end - both)) / 2
    return ((cut_x[:-1] - cut_x[1:]) * mean).sum(dim=0)
