"""Which horizontal boxes of two sets meet, without comparing all of one with all of the other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["boxes_meet", "overlapping_hulls"]

_TILE = 32
# Boxes compared at once: on a CPU few enough for the results to stay in its cache.
_CPU_COMPARISONS, _GPU_COMPARISONS = 1 << 18, 1 << 26


def overlapping_hulls(hulls1: Tensor, hulls2: Tensor) -> tuple[Tensor, Tensor]:
    """Index pairs of the horizontal boxes (x1, y1, x2, y2) that share some area, in any order.

    Boxes that lie together are gathered into tiles of 32. Only the boxes of tiles that meet are compared, and which
    tiles meet is found in the same way.

    Args:
        hulls1, hulls2: [N, 4] and [M, 4], pixels.

    Returns:
        int64 [P] and [P]: indices into the first and into the second set, every pair once.
    """
    step = _GPU_COMPARISONS if hulls1.is_cuda else _CPU_COMPARISONS
    if len(hulls1) * len(hulls2) <= step:
        rows, columns = boxes_meet(hulls1[:, None], hulls2).nonzero(as_tuple=True)
        return rows, columns
    members1, tiles1 = _tiles(hulls1)
    members2, tiles2 = _tiles(hulls2)
    rows, columns = overlapping_hulls(_cover(tiles1), _cover(tiles2))
    chunks = []
    for row, column in zip(rows.split(step // _TILE**2), columns.split(step // _TILE**2), strict=True):
        pair, first, second = boxes_meet(tiles1[row][:, :, None], tiles2[column][:, None]).nonzero(as_tuple=True)
        chunks.append((members1[row[pair], first], members2[column[pair], second]))
    first, second = zip(*chunks, strict=True)
    return torch.cat(first), torch.cat(second)


def boxes_meet(hulls1: Tensor, hulls2: Tensor) -> Tensor:
    """Whether hulls [..., 4] share some area, broadcast."""
    left1, top1, right1, bottom1 = hulls1.unbind(-1)
    left2, top2, right2, bottom2 = hulls2.unbind(-1)
    return (left1 < right2).logical_and_(left2 < right1).logical_and_(top1 < bottom2).logical_and_(top2 < bottom1)


def _tiles(hulls: Tensor) -> tuple[Tensor, Tensor]:
    """Indices [T, 32] of boxes that lie together and their hulls [T, 32, 4]; hulls that meet nothing fill the last.

    The boxes are cut into strips of equal count along x, and each strip into tiles along y ("sort-tile-recursive",
    Leutenegger et al. 1997).
    """
    count = len(hulls)
    tiles = math.ceil(count / _TILE)
    strips = math.ceil(math.sqrt(tiles))
    x, y = hulls[:, 0] + hulls[:, 2], hulls[:, 1] + hulls[:, 3]
    strip = torch.empty(count, dtype=torch.long, device=hulls.device)
    strip[x.argsort()] = torch.arange(count, device=hulls.device) // math.ceil(count / strips)
    by_y = y.argsort()
    order = by_y[strip[by_y].argsort(stable=True)]

    padding = tiles * _TILE - count
    members = torch.cat([order, order.new_zeros(padding)])
    nothing = hulls.new_tensor([math.inf, math.inf, -math.inf, -math.inf]).expand(padding, 4)
    return members.view(tiles, _TILE), torch.cat([hulls[order], nothing]).view(tiles, _TILE, 4)


def _cover(tiles: Tensor) -> Tensor:
    """The hull [T, 4] of each tile."""
    return torch.cat([tiles[..., :2].amin(dim=1), tiles[..., 2:].amax(dim=1)], dim=-1)
