"""From a scene to the blended class probabilities of its finished rows, as a stream."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import torch

from ...predictors.image_probabilities import image_probabilities, require_finite
from ...predictors.interfaces import SceneSegmenter
from ...predictors.test_time_augmentation import SIZE_STEP
from ..source import SceneSource
from ..window_batches import NewRows, WindowBatch, prefetch, window_batches
from ..window_grid import BLENDINGS, WindowGrid
from .rolling_accumulator import RollingAccumulator

__all__ = ["FinishedRows", "SceneProbabilities", "WindowSettings", "scene_grid"]


@dataclass(frozen=True)
class WindowSettings:
    """How a scene is cut, augmented and blended.

    Attributes:
        window: side of a window in pixels, a multiple of 16. A scene that is smaller gets one window of its size,
            extended to a multiple of 16 by repeating its border.
        overlap: share of a window that the next one covers again, 0 (no overlap) to 0.9.
        blending: `"cosine"`, `"gaussian"` or `"flat"`.
        batch_size: windows per forward pass.
        flips, scales: of test-time augmentation, as `predict_probabilities` takes them.

    Raises:
        ValueError: a value is out of range.
    """

    window: int = 512
    overlap: float = 0.25
    blending: str = "cosine"
    batch_size: int = 4
    flips: tuple[str, ...] = ("none",)
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.window < SIZE_STEP or self.window % SIZE_STEP:
            raise ValueError(f"window must be a positive multiple of {SIZE_STEP} pixels, got {self.window}")
        if not 0 <= self.overlap <= 0.9:
            raise ValueError(f"overlap must be a share from 0 to 0.9 of the window, got {self.overlap:g}")
        if self.blending not in BLENDINGS:
            raise ValueError(f"blending must be one of {', '.join(BLENDINGS)}, got {self.blending!r}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")


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


def scene_grid(height: int, width: int, settings: WindowSettings) -> WindowGrid:
    """The windows over a scene of that size."""

    def side(length: int) -> int:
        return min(settings.window, -(-length // SIZE_STEP) * SIZE_STEP)

    sides = (side(height), side(width))
    strides = tuple(max(1, round(length * (1 - settings.overlap))) for length in sides)
    return WindowGrid.over(height, width, sides, strides)


class SceneProbabilities:
    """The blended class probabilities of a scene, from top to bottom: iterate over it, once.

    A scene's height does not matter to memory: the image under one row of windows and the sums of
    [`RollingAccumulator`] are kept. Windows without any data are skipped. Outputs that are not finite raise a
    `NonFiniteOutputError` that names the window.

    Args:
        scene: to read from.
        segmenters: of one model, each on its device; they take batches in turn, and the sums are kept on the
            device of the first.
        settings: windows, augmentation, blending.
        first_row: rows above it are not given.
        start_window: the window to begin with, from `restart_window` of an earlier run that got to `first_row`.
        on_new_rows: takes the rows of the image as they are read, in the thread that reads.
    """

    def __init__(
        self,
        scene: SceneSource,
        segmenters: Sequence[SceneSegmenter],
        settings: WindowSettings,
        first_row: int = 0,
        start_window: int = 0,
        on_new_rows: Callable[[NewRows], None] = lambda rows: None,
    ) -> None:
        self.grid = scene_grid(scene.height, scene.width, settings)
        self._scene, self._segmenters, self._settings = scene, segmenters, settings
        self._first_row, self._start_window = first_row, start_window
        self._on_new_rows = on_new_rows
        self._sums = RollingAccumulator(self.grid, segmenters[0].num_labels, settings.blending, segmenters[0].device)
        self._valid = _ValidRows(scene.width)
        self._row = start_window // len(self.grid.lefts)  # of windows; those before are complete
        self._batch_starts: dict[int, int] = {}  # row of windows -> first window of the batch with its first window
        self._last_window = start_window - 1

    def __iter__(self) -> Iterator[FinishedRows]:
        columns = len(self.grid.lefts)
        for batch, probabilities in self._predictions():
            for index in batch.indices:
                self._batch_starts.setdefault(index // columns, batch.indices[0])
            self._last_window = batch.last
            for index, window_probabilities in zip(batch.indices, probabilities, strict=True):
                yield from self._finish_windows_above(index // columns)
                self._sums.add(index, window_probabilities)
            yield from self._finish_windows_above((batch.last + 1) // columns)

    def restart_window(self, row: int) -> int:
        """The window from which to start for the rows from `row` on, which must be finished.

        It is the first one of a batch, so that the batches after a restart are those of a run without it, and the
        results are equal bit by bit.
        """
        needed = next(
            (index for index, top in enumerate(self.grid.tops) if top + self.grid.window_height > row),
            len(self.grid.tops),
        )
        known = [start for window_row, start in self._batch_starts.items() if window_row >= needed]
        return min(known, default=self._last_window + 1)

    def _predictions(self) -> Iterator[tuple[WindowBatch, torch.Tensor]]:
        """Batches with their probabilities; while one is waited for, the other devices work on the next."""

        def note_rows(rows: NewRows) -> None:
            self._valid.append(rows)
            self._on_new_rows(rows)

        segmenter = self._segmenters[0]
        batches = window_batches(
            self._scene,
            self.grid,
            self._settings.batch_size,
            len(segmenter.image_mean),
            self._start_window,
            note_rows,
        )
        waiting: deque[tuple[WindowBatch, torch.Tensor, torch.Tensor]] = deque()
        for batch, segmenter in zip(prefetch(batches), cycle(self._segmenters), strict=False):
            waiting.append((batch, *self._predict(batch, segmenter)))
            if len(waiting) == len(self._segmenters):
                yield self._checked(*waiting.popleft())
        for predicted in waiting:
            yield self._checked(*predicted)

    @torch.inference_mode()
    def _predict(self, batch: WindowBatch, segmenter: SceneSegmenter) -> tuple[torch.Tensor, torch.Tensor]:
        """Probabilities, on their way to the device of the sums, and which windows have finite outputs."""
        if not batch.indices:
            return torch.empty(0), torch.empty(0, dtype=torch.bool)
        settings = self._settings
        probabilities, finite = image_probabilities(segmenter, batch.pixels, settings.flips, settings.scales)
        return probabilities.to(self._segmenters[0].device, non_blocking=True), finite

    def _checked(
        self, batch: WindowBatch, probabilities: torch.Tensor, finite: torch.Tensor
    ) -> tuple[WindowBatch, torch.Tensor]:
        # Only now, as asking waits for the device.
        require_finite(finite, lambda index: self.grid.describe(batch.indices[index], self._scene.name))
        return batch, probabilities

    def _finish_windows_above(self, window_row: int) -> Iterator[FinishedRows]:
        """The pieces that are finished when all rows of windows above `window_row` have been added."""
        tops, height = self.grid.tops, self._scene.height
        while self._row < window_row:
            top = tops[self._row]
            bottom = tops[self._row + 1] if self._row + 1 < len(tops) else height
            for piece in self._sums.take(top, bottom):
                stop = top + piece.shape[1]
                valid = self._valid.take(top, stop)
                skipped = min(max(self._first_row - top, 0), piece.shape[1])
                if skipped < piece.shape[1]:
                    kept = None if valid is None else valid[skipped:]
                    yield FinishedRows(top + skipped, piece[:, skipped:, : self._scene.width], kept)
                top = stop
            self._row += 1


class _ValidRows:
    """Which pixels hold data, for the rows between reading and finishing."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._parts: deque[tuple[int, int, np.ndarray | None]] = deque()  # top, bottom, valid

    def append(self, rows: NewRows) -> None:
        self._parts.append((rows.top, rows.top + rows.pixels.shape[1], rows.valid))

    def take(self, top: int, bottom: int) -> np.ndarray | None:
        """Bool `(bottom - top, width)`, or None where all are valid; what lies above is forgotten."""
        while self._parts[0][1] <= top:
            self._parts.popleft()
        valid = None
        for first, last, part in list(self._parts):
            if part is None or last <= top or first >= bottom:
                continue
            if valid is None:
                valid = np.ones((bottom - top, self._width), dtype=bool)
            start, stop = max(first, top), min(last, bottom)
            valid[start - top : stop - top] = part[start - first : stop - first]
        return valid
