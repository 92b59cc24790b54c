"""Batches of windows cut from a scene whose rows are read once, from top to bottom."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch

from .source import SceneSource
from .window_grid import WindowGrid

__all__ = ["NewRows", "WindowBatch", "prefetch", "window_batches"]

Item = TypeVar("Item")


@dataclass(frozen=True)
class NewRows:
    """Rows of the scene that were read for the first time.

    Attributes:
        top: the first of them.
        pixels: uint8 `(channels, rows, width)`.
        valid: bool `(rows, width)`, or None where every pixel holds data.
    """

    top: int
    pixels: np.ndarray
    valid: np.ndarray | None


@dataclass(frozen=True)
class WindowBatch:
    """Windows for one forward pass.

    Attributes:
        indices: of the windows in their grid, rising.
        pixels: uint8 `(windows, channels, window height, window width)`.
        last: index of the window up to which the grid is done: windows after `indices[-1]` hold no data.
    """

    indices: list[int] = field(default_factory=list)
    pixels: torch.Tensor | None = None
    last: int = -1


class _Band:
    """The rows under one row of windows, moved down the scene; padded at the right and below by repetition."""

    def __init__(self, source: SceneSource, grid: WindowGrid, num_channels: int) -> None:
        width = max(source.width, grid.window_width)
        self.pixels = np.zeros((num_channels, grid.window_height, width), dtype=np.uint8)
        self.valid = np.zeros((grid.window_height, source.width), dtype=bool)
        self._source, self._height = source, grid.window_height
        self._bottom: int | None = None  # exclusive; rows above it have been read

    def move_to(self, top: int) -> NewRows | None:
        """Hold the rows from `top` on; the rows that are new are read and returned."""
        bottom = min(top + self._height, self._source.height)
        first = top if self._bottom is None else max(top, self._bottom)
        kept = first - top
        if kept:
            self.pixels[:, :kept] = self.pixels[:, self._height - kept :].copy()
            self.valid[:kept] = self.valid[self._height - kept :].copy()
        pixels, valid = self._source.read_rows(first, bottom)
        stop = bottom - top
        self.pixels[:, kept:stop, : self._source.width] = pixels
        self.pixels[:, kept:stop, self._source.width :] = pixels[:, :, -1:]
        self.pixels[:, stop:] = self.pixels[:, stop - 1 : stop]
        self.valid[kept:stop] = True if valid is None else valid
        self._bottom = bottom
        return NewRows(first, pixels, valid)


def window_batches(
    source: SceneSource,
    grid: WindowGrid,
    batch_size: int,
    num_channels: int,
    start: int = 0,
    on_new_rows: Callable[[NewRows], None] = lambda rows: None,
) -> Iterator[WindowBatch]:
    """The windows of a grid that hold any data, batch by batch, in the order of the grid.

    Batches run across rows of windows, so only the last may be smaller. The memory used is that of the scene's width
    times the height of a window.

    Args:
        source: the scene.
        grid: over the scene.
        batch_size: windows per batch.
        num_channels: of the scene's rows.
        start: the window to begin with.
        on_new_rows: takes the rows as they are read, before the first batch that shows them.
    """
    band = _Band(source, grid, num_channels)
    columns = len(grid.lefts)
    indices: list[int] = []
    pixels = _new_pixels(grid, batch_size, num_channels)
    for row in range(start // columns, len(grid.tops)):
        on_new_rows(band.move_to(grid.tops[row]))
        for index in range(max(start, row * columns), (row + 1) * columns):
            left = grid.lefts[index % columns]
            right = left + grid.window_width
            if not band.valid[:, left:right].any():
                continue
            # With numpy: threads of torch's own in a second thread would slow those of the forward pass down.
            pixels.numpy()[len(indices)] = band.pixels[:, :, left:right]
            indices.append(index)
            if len(indices) == batch_size:
                yield WindowBatch(indices, pixels, index)
                indices, pixels = [], _new_pixels(grid, batch_size, num_channels)
    yield WindowBatch(indices, pixels[: len(indices)], len(grid) - 1)


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """The items of an iterator, each made in a thread while the one before is used."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="scene-reader") as thread:
        end = object()
        upcoming = thread.submit(next, items, end)
        while (item := upcoming.result()) is not end:
            upcoming = thread.submit(next, items, end)
            yield item


def _new_pixels(grid: WindowGrid, batch_size: int, num_channels: int) -> torch.Tensor:
    """Room for a batch; page-locked where a GPU is going to fetch it."""
    shape = (batch_size, num_channels, grid.window_height, grid.window_width)
    return torch.empty(shape, dtype=torch.uint8, pin_memory=torch.cuda.is_available())
