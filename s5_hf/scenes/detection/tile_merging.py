"""From the objects of tiles that overlap to those of the scene.

Where tiles overlap an object is found more than once, and where a tile ends inside the scene an object may be cut: the
tile shows a part of it, and the detector boxes that part. Its overlap (IoU) with the box of the whole object may be
small, so plain non-maximum suppression would keep both. The rule here:

1. A detection is *cut* if its hull comes within a margin of a border of its tile that is not a border of the scene.
2. Two detections of one class from different tiles are the same object if their IoU exceeds the threshold of
   non-maximum suppression. If one of them is cut, they are also the same object if they agree on what both tiles show:
   the parts of the two boxes inside both tiles have an IoU above one half. So a cut ship and the whole one agree; a
   cut ship and the whole one beside it do not.
3. Of the same object a whole detection stays before a cut one, and then the better score before the lower. The one
   that stays takes the best score of those it replaces: a score of a part speaks for the object. Parts that agree with
   a replaced part are replaced with it, so that an object across many tiles is found once.

An object no longer than the overlap less two margins is whole in some tile. Of longer ones, cut in every tile, the
parts that agree are joined to one box along the axes of the largest, where they fill it; else the best-scored part
stays. Detections of one tile are not compared: the detector has done that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ...imaging.polygon_clipping import clip_convex, clip_polygon, polygon_area
from ...imaging.windows import Window
from ...modeling.hull_pairs import overlapping_hulls
from ...modeling.oriented_boxes import oriented_boxes_to_corners, oriented_boxes_to_horizontal
from ...modeling.rotated_iou import pairwise_overlaps
from ...predictors.interfaces import Detections
from ..window_grid import WindowGrid

_Partners = dict[int, list[int]]

__all__ = ["cut_by_tiles", "join_parts", "merge_found", "merge_tiles", "shared_view_iou"]

SHARED_VIEW_IOU = 0.5
"""Parts inside both tiles that overlap by more than this belong to one object."""

FILLED_SHARE = 0.8
"""Parts are joined if together they fill at least this share of the box around them."""

BORDER_MARGIN = 4.0
BORDER_MARGIN_SHARE = 0.05
"""A hull that ends within so many pixels of a border, or this share of its extent, counts as touching it."""


def merge_tiles(
    detections: Detections,
    tiles: Tensor,
    grid: WindowGrid | Sequence[Window],
    size: tuple[int, int],
    iou_threshold: float,
) -> Detections:
    """The objects of a scene from those of its tiles.

    Args:
        detections: `boxes` `(n, 5)` in pixels of the scene, `scores` and `labels`, of all tiles.
        tiles: int64 `(n,)`, the tile in the grid that each comes from.
        grid: the tiles.
        size: height and width of the scene.
        iou_threshold: rotated IoU above which two whole detections of a class are the same object.

    Returns:
        The objects that stay, best first. Equal scores keep their order.
    """
    boxes, scores, labels = detections["boxes"].double(), detections["scores"].clone(), detections["labels"]
    merged = detections["boxes"].clone()
    cut = cut_by_tiles(boxes, tiles, grid, size)
    overlapping, agreeing = _same_objects(boxes, labels, tiles, cut, grid, iou_threshold)

    # Whole ones before cut ones, each best first.
    order = np.lexsort((np.arange(len(scores)), -scores.numpy(), cut.numpy()))
    settled = np.zeros(len(scores), dtype=bool)
    kept = []
    for index in order.tolist():
        if settled[index]:
            continue
        kept.append(index)
        settled[index] = True
        parts = _parts_of(index, agreeing, cut)
        replaced = [partner for partner in {*overlapping.get(index, ()), *parts} if not settled[partner]]
        if replaced:
            settled[replaced] = True
            scores[index] = max(scores[index], scores[replaced].max())
        if cut[index]:
            merged[index] = join_parts(boxes[[index, *sorted(parts.intersection(replaced))]]).to(merged)
    chosen = torch.tensor(sorted(kept), dtype=torch.int64)
    chosen = chosen[scores[chosen].argsort(descending=True, stable=True)]
    return {"boxes": merged[chosen], "scores": scores[chosen], "labels": labels[chosen]}


def merge_found(
    found: Mapping[int, Detections],
    grid: WindowGrid | Sequence[Window],
    size: tuple[int, int],
    iou_threshold: float,
) -> Detections:
    """The same from the objects of each tile, by its number in the grid, in pixels of the tile; boxes are float64."""
    parts = [{"boxes": torch.zeros(0, 5), "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64)}]
    for index, objects in found.items():
        offset = torch.tensor([grid[index].left, grid[index].top, 0, 0, 0])
        parts.append({**objects, "boxes": objects["boxes"].double() + offset})
    together = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    counts = torch.tensor([len(objects["scores"]) for objects in found.values()], dtype=torch.int64)
    tiles = torch.tensor(list(found), dtype=torch.int64).repeat_interleave(counts)
    return merge_tiles({**together, "boxes": together["boxes"].double()}, tiles, grid, size, iou_threshold)


def cut_by_tiles(boxes: Tensor, tiles: Tensor, grid: WindowGrid | Sequence[Window], size: tuple[int, int]) -> Tensor:
    """Which boxes `(n, 5)` of the scene touch a border of their tile that lies inside the scene, bool `(n,)`."""
    windows = torch.tensor([grid[index] for index in range(len(grid))], dtype=torch.float64)[tiles]  # [n, 4]
    hulls = oriented_boxes_to_horizontal(boxes.double())
    extents = (hulls[:, 2:] - hulls[:, :2]).repeat(1, 2)
    margins = (BORDER_MARGIN_SHARE * extents).clamp(min=BORDER_MARGIN)
    ends = torch.tensor([size[1], size[0]], dtype=torch.float64)
    touches_low = (hulls[:, :2] < windows[:, :2] + margins[:, :2]) & (windows[:, :2] > 0)
    touches_high = (hulls[:, 2:] > windows[:, 2:] - margins[:, 2:]) & (windows[:, 2:] < ends)
    return (touches_low | touches_high).any(dim=1)


def shared_view_iou(first: np.ndarray, second: np.ndarray, window: Window) -> float:
    """IoU of the parts of two convex polygons `(4, 2)` inside a window; 0 if one has no part there."""
    first, second = clip_polygon(first, window), clip_polygon(second, window)
    area1, area2 = polygon_area(first), polygon_area(second)
    if min(area1, area2) <= 0:
        return 0.0
    shared = polygon_area(clip_convex(first, second))
    return shared / (area1 + area2 - shared)


def join_parts(parts: Tensor) -> Tensor:
    """The box `(5,)` of an object from boxes `(n, 5)` of its parts; the first, where the parts do not make one box.

    Beginning with the largest, parts are added one by one: the box grows along its own axes until it holds the next
    part, if the two fill it.
    """
    corners = oriented_boxes_to_corners(parts).numpy()
    start = int(parts[:, 2:4].prod(dim=1).argmax())
    box, waiting = parts[start], [index for index in range(len(parts)) if index != start]
    while waiting:
        grown = [(index, _grown(box, corners[index])) for index in waiting]
        fitting = next(((index, larger) for index, larger in grown if larger is not None), None)
        if fitting is None:
            return parts[0]
        waiting.remove(fitting[0])
        box = fitting[1]
    return box


def _grown(box: Tensor, part: np.ndarray) -> Tensor | None:
    """A box `(5,)` grown along its axes to hold a part `(4, 2)`; None if the two leave too much of it empty."""
    corners = oriented_boxes_to_corners(box[None])[0].numpy()
    cosine, sine = float(box[4].cos()), float(box[4].sin())
    axes = np.array([[cosine, -sine], [sine, cosine]])
    points = np.concatenate([corners, part]) @ axes
    low, high = points.min(axis=0), points.max(axis=0)
    shared = polygon_area(clip_convex(corners, part))
    filled = polygon_area(corners) + polygon_area(part) - shared
    if filled < FILLED_SHARE * float(np.prod(high - low)):
        return None
    return torch.tensor([*(axes @ ((low + high) / 2)), *(high - low), float(box[4])], dtype=box.dtype)


def _same_objects(
    boxes: Tensor,
    labels: Tensor,
    tiles: Tensor,
    cut: Tensor,
    grid: WindowGrid | Sequence[Window],
    iou_threshold: float,
) -> tuple[_Partners, _Partners]:
    """Detections of one class from different tiles that are the same object: by their IoU, and by a shared view."""
    rows, columns = _pairs_that_meet(boxes, labels, tiles)
    same = pairwise_overlaps(boxes, rows, columns) > iou_threshold
    overlapping = _partners(list(zip(rows[same].tolist(), columns[same].tolist(), strict=True)))

    agreeing = []
    with_cut = cut[rows] | cut[columns]
    corners = oriented_boxes_to_corners(boxes).numpy()
    for first, second in zip(rows[with_cut].tolist(), columns[with_cut].tolist(), strict=True):
        window = _intersection(grid[int(tiles[first])], grid[int(tiles[second])])
        if window is not None and shared_view_iou(corners[first], corners[second], window) > SHARED_VIEW_IOU:
            agreeing.append((first, second))
    return overlapping, _partners(agreeing)


def _partners(pairs: list[tuple[int, int]]) -> _Partners:
    partners: _Partners = {}
    for first, second in pairs:
        partners.setdefault(first, []).append(second)
        partners.setdefault(second, []).append(first)
    return partners


def _parts_of(index: int, agreeing: _Partners, cut: Tensor) -> set[int]:
    """The cut detections that agree with one, those that agree with these, and so on."""
    found, waiting = set(), [index]
    while waiting:
        parts = {other for other in agreeing.get(waiting.pop(), ()) if cut[other]} - found
        found |= parts
        waiting.extend(parts)
    return found


def _pairs_that_meet(boxes: Tensor, labels: Tensor, tiles: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the pairs of one class, from different tiles, whose hulls meet; every pair once."""
    hulls = oriented_boxes_to_horizontal(boxes)
    rows, columns = [torch.empty(0, dtype=torch.int64)], [torch.empty(0, dtype=torch.int64)]
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        first, second = (members[found] for found in overlapping_hulls(hulls[members], hulls[members]))
        wanted = (first < second) & (tiles[first] != tiles[second])
        rows.append(first[wanted])
        columns.append(second[wanted])
    return torch.cat(rows), torch.cat(columns)


def _intersection(first: Window, second: Window) -> Window | None:
    """What two tiles both show, or None."""
    left, top = max(first.left, second.left), max(first.top, second.top)
    right, bottom = min(first.right, second.right), min(first.bottom, second.bottom)
    return Window(left, top, right, bottom) if left < right and top < bottom else None
