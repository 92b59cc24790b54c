"""Blended probabilities of the few rows of a scene that windows still change."""

from collections.abc import Iterator

import torch

from .window_grid import WindowGrid, normalized_axis_weights

__all__ = ["RollingAccumulator"]


class RollingAccumulator:
    """Sums of weighted probabilities, float32 `(classes, window height, width)`, whatever the height of the scene.

    Row y of the scene lives in row y modulo the window height, so nothing is ever moved. The weights are divided
    by their sum beforehand (see `normalized_axis_weights`), so that sums of finished rows are probabilities.

    Args:
        grid: the windows; they have to come row after row.
        num_labels: number of classes.
        blending: as `blending_weights`.
        device: where the sums are kept.
    """

    def __init__(
        self, grid: WindowGrid, num_labels: int, blending: str = "cosine", device: torch.device | str = "cpu"
    ) -> None:
        self._grid = grid
        self._height = grid.window_height
        self._row_weights = normalized_axis_weights(grid.tops, grid.window_height, blending).to(device)
        self._column_weights = normalized_axis_weights(grid.lefts, grid.window_width, blending).to(device)
        width = grid.lefts[-1] + grid.window_width
        self._sums = torch.zeros(num_labels, self._height, width, device=device)

    def add(self, index: int, probabilities: torch.Tensor) -> None:
        """Add the prediction `(classes, window height, window width)` for window `index` of the grid."""
        row, column = divmod(index, len(self._grid.lefts))
        left = self._grid.lefts[column]
        right = left + self._grid.window_width
        row_weights, column_weights = self._row_weights[row], self._column_weights[column]
        offset = self._grid.tops[row] % self._height
        first = self._height - offset  # rows of the window before the sums wrap around
        for rows, place in ((slice(0, first), slice(offset, None)), (slice(first, None), slice(0, offset))):
            if place.stop == 0:
                continue
            weights = row_weights[rows, None] * column_weights[None, :]
            self._sums[:, place, left:right].addcmul_(probabilities[:, rows], weights)

    def take(self, top: int, bottom: int, rows_at_once: int = 64) -> Iterator[torch.Tensor]:
        """Probabilities of the finished rows `top` to `bottom` (exclusive), piece by piece from the top.

        Each is a view `(classes, at most rows_at_once, width)`, to be used before the next one is asked for: the
        rows are set to 0 then, for those that follow.
        """
        while top < bottom:
            start = top % self._height
            count = min(bottom - top, self._height - start, rows_at_once)
            piece = self._sums[:, start : start + count]
            yield piece
            piece.zero_()
            top += count
