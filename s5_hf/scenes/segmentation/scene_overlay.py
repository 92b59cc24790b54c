"""A picture of scene and classes, reduced where the scene is big, made while rows come by."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ...imaging.drawing import overlay_mask
from ...imaging.palettes import Palette
from ...imaging.sheets import add_legend
from ..reduction import MAX_OVERLAY_SIDE
from ..window_batches import NewRows
from .class_rows import NO_DATA
from .map_files import mapped_bytes

__all__ = ["SceneOverlay"]


class SceneOverlay:
    """Every n-th row of a scene and of its classes, with the smallest n for which the picture is small enough.

    Args:
        folder: where the rows are kept, so that a resumed run has them.
        height, width: of the scene.
    """

    def __init__(self, folder: Path, height: int, width: int) -> None:
        self._step = max(1, -(-max(height, width) // MAX_OVERLAY_SIDE))
        # The middle of the rows, and of the columns, that one pixel stands for.
        self._first_row, self._first_column = min(self._step, height) // 2, min(self._step, width) // 2
        shape = (_count(height, self._first_row, self._step), _count(width, self._first_column, self._step))
        self._image = mapped_bytes(folder / "overlay_image.raw", (*shape, 3))
        self._classes = mapped_bytes(folder / "overlay_classes.raw", shape)

    def add_image(self, rows: NewRows) -> None:
        """Take rows of the scene; with more or fewer than three channels, the first three, or the first, are shown."""
        colors = rows.pixels[:3] if len(rows.pixels) >= 3 else rows.pixels[:1]
        first, place = self._place(rows.top, colors.shape[1])
        picked = colors[:, first :: self._step, self._first_column :: self._step]
        self._image[place] = picked.transpose(1, 2, 0)

    def add_classes(self, top: int, classes: np.ndarray) -> None:
        """Take rows of class ids `(rows, width)`."""
        first, place = self._place(top, len(classes))
        self._classes[place] = classes[first :: self._step, self._first_column :: self._step]

    def picture(self, labels: Sequence[str], palette: Palette, alpha: float = 0.5) -> Image.Image:
        """The overlay with its legend."""
        image = Image.fromarray(np.asarray(self._image))
        overlay = overlay_mask(image, np.asarray(self._classes), palette, alpha, ignore_index=NO_DATA)
        return add_legend(overlay, labels, palette)

    def _place(self, top: int, count: int) -> tuple[int, slice]:
        """The first row to take, counted from `top`, and where the rows go."""
        first = (self._first_row - top) % self._step
        start = (top + first - self._first_row) // self._step
        return first, slice(start, start + _count(count, first, self._step))


def _count(length: int, offset: int, step: int) -> int:
    return max(0, -(-(length - offset) // step))
