"""From a scene to the blended class probabilities of its finished rows, as a stream."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import torch

from ...predictors.fitting_batch import fitting_batch_size
from ...predictors.image_probabilities import image_probabilities, require_finite
from ...predictors.interfaces import SceneSegmenter
from ...predictors.test_time_augmentation import SIZE_STEP
from ..blended_rows import BlendedRows, FinishedRows
from ..source import SceneSource
from ..window_batches import NewRows, WindowBatch, prefetch, window_batches
from ..window_grid import BLENDINGS, WindowGrid

__all__ = ["SceneProbabilities", "WindowSettings", "scene_grid"]


@dataclass(frozen=True)
class WindowSettings:
    """How a scene is cut, augmented and blended.

    Attributes:
        window: side of a window in pixels, a multiple of 16. A scene that is smaller gets one window of its size,
            extended to a multiple of 16 by repeating its border.
        overlap: share of a window that the next one covers again, 0 (no overlap) to 0.9.
        blending: `"cosine"`, `"gaussian"` or `"flat"`.
        batch_size: windows per forward pass; `None` for 4, or on a GPU as many as fit into its free memory.
        flips, scales: of test-time augmentation, as `predict_probabilities` takes them.

    Raises:
        ValueError: a value is out of range.
    """

    window: int = 512
    overlap: float = 0.25
    blending: str = "cosine"
    batch_size: int | None = None
    flips: tuple[str, ...] = ("none",)
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.window < SIZE_STEP or self.window % SIZE_STEP:
            raise ValueError(f"window must be a positive multiple of {SIZE_STEP} pixels, got {self.window}")
        if not 0 <= self.overlap <= 0.9:
            raise ValueError(f"overlap must be a share from 0 to 0.9 of the window, got {self.overlap:g}")
        if self.blending not in BLENDINGS:
            raise ValueError(f"blending must be one of {', '.join(BLENDINGS)}, got {self.blending!r}")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")


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
    [`BlendedRows`] are kept. Windows without any data are skipped. Outputs that are not finite raise a
    `NonFiniteOutputError` that names the window.

    Args:
        scene: to read from.
        segmenters: of one model, each on its device; they take batches in turn, and the sums are kept on the
            device of the first.
        settings: windows, augmentation, blending.
        first_row: rows above it are not given.
        start_window: the window to begin with, from `restart_window` of an earlier run that got to `first_row`; by
            default the first that is needed.
        on_new_rows: takes the rows of the image as they are read, in the thread that reads.

    Attributes:
        first_window: with which it begins.
    """

    def __init__(
        self,
        scene: SceneSource,
        segmenters: Sequence[SceneSegmenter],
        settings: WindowSettings,
        first_row: int = 0,
        start_window: int | None = None,
        on_new_rows: Callable[[NewRows], None] = lambda rows: None,
    ) -> None:
        self.grid = scene_grid(scene.height, scene.width, settings)
        self._scene, self._segmenters, self._settings = scene, segmenters, settings
        self.batch_size = settings.batch_size or fitting_batch_size(
            segmenters[0], (self.grid.window_height, self.grid.window_width), settings.flips, settings.scales
        )
        start_window = self.start_window(first_row) if start_window is None else start_window
        self.first_window, self._on_new_rows = start_window, on_new_rows
        network = segmenters[0]
        size = scene.height, scene.width
        self._rows = BlendedRows(
            self.grid, size, network.num_labels, settings.blending, network.device, first_row, start_window
        )

    def __iter__(self) -> Iterator[FinishedRows]:
        for batch, probabilities in self._predictions():
            yield from self._rows.add(batch, probabilities)

    def start_window(self, row: int) -> int:
        """The window from which to start for the rows from `row` on: the first of a batch, if none is left out."""
        return self.grid.first_window_of(row, self.batch_size)

    def restart_window(self, row: int) -> int:
        """The window from which to start for the rows from `row` on; see `BlendedRows`."""
        return self._rows.restart_window(row)

    def _predictions(self) -> Iterator[tuple[WindowBatch, torch.Tensor]]:
        """Batches with their probabilities; while one is waited for, the other devices work on the next."""

        def note_rows(rows: NewRows) -> None:
            self._rows.note_rows(rows)
            self._on_new_rows(rows)

        segmenter = self._segmenters[0]
        batches = window_batches(
            self._scene,
            self.grid,
            self.batch_size,
            len(segmenter.image_mean),
            self.first_window,
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
