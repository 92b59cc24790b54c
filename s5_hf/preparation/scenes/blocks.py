"""Square blocks of a scene, apart from one another, and the tiles in each: pixels only."""

from __future__ import annotations

from itertools import pairwise

from ...imaging.windows import Window, window_starts
from .settings import TileSettings

__all__ = ["block_windows", "tile_windows"]


def block_windows(width: int, height: int, tiles: TileSettings, block_tiles: int, gap: int) -> list[Window]:
    """Blocks that hold `block_tiles` x `block_tiles` tiles or more, with a gap between neighbours, row after row.

    They share the scene out evenly and leave nothing but the gaps. A scene smaller than a tile is one block, which a
    tile then exceeds.
    """
    side = tiles.size + (block_tiles - 1) * tiles.stride
    return [
        Window(left, top, right, bottom)
        for top, bottom in _segments(height, side, gap)
        for left, right in _segments(width, side, gap)
    ]


def tile_windows(block: Window, tiles: TileSettings) -> list[Window]:
    """The tiles of a block, row after row; the last of a row or column is shifted back to end at its border."""
    return [
        Window(block.left + left, block.top + top, block.left + left + tiles.size, block.top + top + tiles.size)
        for top in window_starts(block.height, tiles.size, tiles.stride)
        for left in window_starts(block.width, tiles.size, tiles.stride)
    ]


def _segments(length: int, side: int, gap: int) -> list[tuple[int, int]]:
    """As many parts of at least `side`, with `gap` between them, as a length has room for, of about the same size."""
    count = max(1, (length + gap) // (side + gap))
    edges = [round(index * (length + gap) / count) for index in range(count + 1)]
    return [(start, end - gap) for start, end in pairwise(edges)]
