"""Where crops lie on a tile: window arithmetic, without any pixels.

Coordinates are pixels, x to the right and y down; a window's right and bottom are exclusive.
"""

from itertools import pairwise
from typing import NamedTuple

__all__ = ["Window", "column_windows", "even_windows", "quarters", "row_windows", "window_starts"]


class Window(NamedTuple):
    """A rectangle of whole pixels: `left <= x < right`, `top <= y < bottom`."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


def window_starts(length: int, size: int, stride: int) -> list[int]:
    """Starts of the windows along one axis: every `stride` pixels, the last shifted back to end at the border.

    A length up to `size` gives the single start 0, so the window may then reach beyond the border. A 6000 px tile
    gives 23 starts at size 512 and stride 256, 12 at stride 512.

    Raises:
        ValueError: `length` or `size` is not positive, or `stride` is not in 1..size (pixels would be left out).
    """
    if length < 1 or size < 1:
        raise ValueError(f"Length and size must be at least 1 pixel, got length {length} and size {size}.")
    if not 1 <= stride <= size:
        raise ValueError(f"The stride must be between 1 and the window size {size}, got {stride}.")
    if length <= size:
        return [0]
    starts = list(range(0, length - size, stride))
    return [*starts, length - size]


def even_windows(width: int, height: int, size: int) -> list[Window]:
    """Windows that share an image out, row after row: as few as possible of at most `size` a side, nearly alike."""
    columns, rows = (
        [round(part * length / count) for part in range(count + 1)]
        for length, count in ((width, -(-width // size)), (height, -(-height // size)))
    )
    return [Window(left, top, right, bottom) for top, bottom in pairwise(rows) for left, right in pairwise(columns)]


def row_windows(width: int, height: int, size: int, stride: int) -> list[Window]:
    """Square windows over an image, row after row. Windows reach beyond an image that is smaller than `size`."""
    return [
        Window(left, top, left + size, top + size)
        for top in window_starts(height, size, stride)
        for left in window_starts(width, size, stride)
    ]


def column_windows(width: int, height: int, size: int, stride: int) -> list[Window]:
    """The windows of `row_windows`, column after column: the order in which DOTA patches are numbered.

    The DOTA tools drop windows of which less than 0.6 is image, unless all are so. As the last window is shifted
    back, every window of one image shows the same share of it; the rule never drops one, so it is not built here.
    """
    return [
        Window(left, top, left + size, top + size)
        for left in window_starts(width, size, stride)
        for top in window_starts(height, size, stride)
    ]


def quarters(window: Window) -> list[Window]:
    """The four equal parts of a window: top left, top right, bottom left, bottom right.

    Raises:
        ValueError: a side of the window is odd.
    """
    if window.width % 2 or window.height % 2:
        raise ValueError(f"Only a window with even sides has four equal parts, got {window.width} x {window.height}.")
    middle_x = window.left + window.width // 2
    middle_y = window.top + window.height // 2
    return [
        Window(window.left, window.top, middle_x, middle_y),
        Window(middle_x, window.top, window.right, middle_y),
        Window(window.left, middle_y, middle_x, window.bottom),
        Window(middle_x, middle_y, window.right, window.bottom),
    ]
