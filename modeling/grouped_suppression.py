"""Non-maximum suppression of many groups of horizontal boxes at once, as a region proposal network needs it.

A group is a level of an image. All groups go through the same few operations, and the host asks the device three times
in all, however many groups there are. What is kept is what `horizontal_nms` keeps of every group by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .host_values import constants_like
from .hull_pairs import boxes_meet

__all__ = ["kept_in_groups"]

_TILE = 32
# Pairs of tiles compared at once: on a CPU few enough for the intermediate results to stay in its cache.
_CPU_TILE_PAIRS, _GPU_TILE_PAIRS = 64, 1 << 14
# Rounds of suppression between two questions whether anything still changes.
_ROUNDS = 8


def kept_in_groups(boxes: Tensor, sizes: Sequence[int], iou_threshold: float) -> Tensor:
    """Which boxes survive in their groups; boxes of different groups never suppress each other.

    Args:
        boxes: [B, N, 4], finite: x1, y1, x2, y2 in pixels. Every row holds groups of the same sizes, one after the
            other, and every group has its best box first.
        sizes: boxes per group; their sum is N.
        iou_threshold: a box is suppressed where its IoU with a kept one of its group is greater.

    Returns:
        bool [B, N].
    """
    exact = boxes.detach().to(torch.float32 if boxes.device.type == "mps" else torch.float64)
    length = math.ceil(max(sizes) / _TILE) * _TILE
    # What fills the groups meets nothing.
    nothing = constants_like(exact, [math.inf, math.inf, -math.inf, -math.inf])
    groups = nothing.repeat(len(boxes), len(sizes), length, 1)
    for number, group in enumerate(exact.split(list(sizes), dim=1)):
        groups[:, number, : group.shape[1]] = group
    groups = groups.flatten(0, 1)
    better, worse = _conflicts(groups, iou_threshold)
    kept = _resolve(groups.shape[0] * length, better, worse).view(len(boxes), len(sizes), length)
    return torch.cat([kept[:, number, :size] for number, size in enumerate(sizes)], dim=1)


def _conflicts(groups: Tensor, iou_threshold: float) -> tuple[Tensor, Tensor]:
    """Pairs [P] of places in the flattened groups [G, L, 4] that overlap too much: the better and the worse box."""
    count, length = groups.shape[:2]
    order = _tiled_order(groups)
    tiles = groups.gather(1, order[..., None].expand(-1, -1, 4)).unflatten(1, (-1, _TILE))
    covers = torch.cat([tiles[..., :2].amin(dim=2), tiles[..., 2:].amax(dim=2)], dim=-1)
    group, first, second = boxes_meet(covers[:, :, None], covers[:, None]).triu().nonzero(as_tuple=True)

    number = tiles.shape[1]
    first, second, tiles = group * number + first, group * number + second, tiles.flatten(0, 1)
    places = (order + torch.arange(count, device=order.device)[:, None] * length).view(-1, _TILE)
    step = _GPU_TILE_PAIRS if groups.is_cuda else _CPU_TILE_PAIRS
    over = torch.empty(len(first), _TILE, _TILE, dtype=torch.bool, device=groups.device)
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        over[part] = _overlap_more(tiles[first[part]], tiles[second[part]], iou_threshold)
    pair, row, column = over.nonzero(as_tuple=True)
    one, other = places[first[pair], row], places[second[pair], column]
    return torch.minimum(one, other), torch.maximum(one, other)


def _tiled_order(groups: Tensor) -> Tensor:
    """Places [G, L] of boxes [G, L, 4] in their group, so that 32 successive ones lie together ("sort-tile-recursive",
    Leutenegger et al. 1997): strips along x, and in each of them by y.
    """
    length = groups.shape[1]
    strips = math.ceil(math.sqrt(length / _TILE))
    x, y = groups[..., 0] + groups[..., 2], groups[..., 1] + groups[..., 3]
    strip = x.argsort(dim=1).argsort(dim=1) // math.ceil(length / strips)
    by_y = y.argsort(dim=1)
    return by_y.gather(1, strip.gather(1, by_y).argsort(dim=1, stable=True))


def _overlap_more(first: Tensor, second: Tensor, iou_threshold: float) -> Tensor:
    """Whether boxes of pairs of tiles, [P, 32, 4] each, have an IoU above the threshold: bool [P, 32, 32]."""
    left1, top1, right1, bottom1 = (column[:, :, None] for column in first.unbind(-1))
    left2, top2, right2, bottom2 = (column[:, None] for column in second.unbind(-1))
    width = torch.minimum(right1, right2).sub_(torch.maximum(left1, left2)).clamp_(min=0)
    height = torch.minimum(bottom1, bottom2).sub_(torch.maximum(top1, top2)).clamp_(min=0)
    area1, area2 = (right1 - left1) * (bottom1 - top1), (right2 - left2) * (bottom2 - top2)
    shared = torch.minimum(width.mul_(height), torch.minimum(area1, area2))
    return shared / (area1 + area2).sub_(shared) > iou_threshold


def _resolve(count: int, better: Tensor, worse: Tensor) -> Tensor:
    """Which of `count` boxes the greedy choice keeps, given the pairs [P] that conflict: bool [count].

    keep[j] = no kept i that is better than j conflicts with j. This has one solution, and repeating it from any start
    reaches it: chains of suppression are short. A box in conflict with itself is none.
    """
    # The last place takes what suppresses nothing.
    worse = torch.where(better == worse, count, worse)
    keep = torch.ones(count + 1, dtype=torch.bool, device=better.device)
    while True:
        for _ in range(_ROUNDS):
            before = keep
            keep = torch.ones_like(before).index_fill_(0, torch.where(before[better], worse, count), False)
        if torch.equal(before[:count], keep[:count]):
            return keep[:count]
