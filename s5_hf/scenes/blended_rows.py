"""From predictions of windows to the blended values of the rows of a scene that no window changes any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .rolling_accumulator import RollingAccumulator
from .window_batches import NewRows, WindowBatch
from .window_grid import WindowGrid

__all__ = ["BlendedRows", "FinishedRows", "ValidRows"]


@dataclass(frozen=True)
class FinishedRows:
    """Rows that no window changes any more.

    Attributes:
        top: the first of them.
        probabilities: float32 `(classes, rows, width of the scene)`, a view that is good until the next piece.
        valid: bool `(rows, width of the scene)`: which pixels hold data; None for all of them.
    """

    top: int
    probabilities: torch.Tensor
    valid: np.ndarray | None


class BlendedRows:
    """Takes the predictions of windows, row of windows after row, and gives finished rows of the scene.

    A scene's height does not matter to memory: the sums of [`RollingAccumulator`] are kept.

    Args:
        grid: the windows.
        size: height and width of the scene in pixels.
        num_labels: values per pixel.
        blending: as `blending_weights`.
        device: where the sums are kept.
        first_row: rows above it are not given.
        start_window: the window to begin with, from `restart_window` of an earlier run that got to `first_row`.
    """

    def __init__(
        self,
        grid: WindowGrid,
        size: tuple[int, int],
        num_labels: int,
        blending: str,
        device: torch.device | str,
        first_row: int = 0,
        start_window: int = 0,
    ) -> None:
        self._grid, self._first_row = grid, first_row
        self._height, self._width = size
        self._sums = RollingAccumulator(grid, num_labels, blending, device)
        self._valid = ValidRows(self._width)
        self._row = start_window // len(grid.lefts)  # of windows; those before are complete
        self._batch_starts: dict[int, int] = {}  # row of windows -> first window of the batch with its first window
        self._last_window = start_window - 1

    def note_rows(self, rows: NewRows) -> None:
        """Take rows of the image as they are read, before the windows that show them."""
        self._valid.append(rows)

    def add(self, batch: WindowBatch, predictions: Sequence[torch.Tensor]) -> Iterator[FinishedRows]:
        """Take the predictions of a batch, `(values, window height, window width)` for each window."""
        columns = len(self._grid.lefts)
        for index in batch.indices:
            self._batch_starts.setdefault(index // columns, batch.indices[0])
        self._last_window = batch.last
        for index, prediction in zip(batch.indices, predictions, strict=True):
            yield from self._finish_windows_above(index // columns)
            self._sums.add(index, prediction)
        yield from self._finish_windows_above((batch.last + 1) // columns)

    def restart_window(self, row: int) -> int:
        """The window from which to start for the rows from `row` on, which must be finished.

        It is the first one of a batch, so that the batches after a restart are those of a run without it, and the
        results are equal bit by bit.
        """
        tops, height = self._grid.tops, self._grid.window_height
        needed = next((index for index, top in enumerate(tops) if top + height > row), len(tops))
        known = [start for window_row, start in self._batch_starts.items() if window_row >= needed]
        return min(known, default=self._last_window + 1)

    def _finish_windows_above(self, window_row: int) -> Iterator[FinishedRows]:
        """The pieces that are finished when all rows of windows above `window_row` have been added."""
        tops = self._grid.tops
        while self._row < window_row:
            top = tops[self._row]
            bottom = tops[self._row + 1] if self._row + 1 < len(tops) else self._height
            for piece in self._sums.take(top, bottom):
                stop = top + piece.shape[1]
                valid = self._valid.take(top, stop)
                skipped = min(max(self._first_row - top, 0), piece.shape[1])
                if skipped < piece.shape[1]:
                    kept = None if valid is None else valid[skipped:]
                    yield FinishedRows(top + skipped, piece[:, skipped:, : self._width], kept)
                top = stop
            self._row += 1


class ValidRows:
    """Which pixels hold data, for rows between reading and finishing.

    Args:
        width: of the scene in pixels.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._parts: deque[tuple[int, int, np.ndarray | None]] = deque()  # top, bottom, valid

    def append(self, rows: NewRows) -> None:
        """Take the next rows."""
        self._parts.append((rows.top, rows.top + rows.pixels.shape[1], rows.valid))

    def take(self, top: int, bottom: int) -> np.ndarray | None:
        """As `read`; what lies above is forgotten."""
        self.forget_above(top)
        return self.read(top, bottom)

    def forget_above(self, row: int) -> None:
        """Forget what nobody is going to ask for: pieces that end above a row."""
        while self._parts and self._parts[0][1] <= row:
            self._parts.popleft()

    def read(self, top: int, bottom: int) -> np.ndarray | None:
        """Bool `(bottom - top, width)`, or None where all are valid."""
        valid = None
        for first, last, part in list(self._parts):
            if part is None or last <= top or first >= bottom:
                continue
            if valid is None:
                valid = np.ones((bottom - top, self._width), dtype=bool)
            start, stop = max(first, top), min(last, bottom)
            valid[start - top : stop - top] = part[start - first : stop - first]
        return valid
