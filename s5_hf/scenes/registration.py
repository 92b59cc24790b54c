"""Whether two dates lie on each other: a shift of the whole scene, found by phase correlation, and its correction.

Source of the phase correlation: Kuglin and Hines, The phase correlation image alignment method (1975).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .scene_pairs import ScenePair
from .source import SceneSource

__all__ = ["Shift", "ShiftedScene", "find_shift", "phase_shift"]

_SIDE = 512
_PER_AXIS = 3
_NOISE = 8.0
"""A peak counts if it is so many times as high as the correlation of unrelated images spreads."""

_AGREE = 1.0
_MOST = 0.75
_SMALLEST_SIDE = 32
_NOTICED = 0.5


@dataclass(frozen=True)
class Shift:
    """How far the later date is moved: what lies at (x, y) before lies at (x + columns, y + rows) after.

    Attributes:
        columns, rows: in pixels, to a tenth.
    """

    columns: float
    rows: float

    @property
    def is_noticed(self) -> bool:
        """Whether it is at least half a pixel."""
        return math.hypot(self.columns, self.rows) >= _NOTICED

    def __str__(self) -> str:
        return f"{self.columns:+.1f} columns and {self.rows:+.1f} rows"


def find_shift(pair: ScenePair) -> Shift | None:
    """The shift on which most of nine windows, spread over the scene, agree.

    Args:
        pair: two scenes on one grid. Three bands of rows of it are read.

    Returns:
        The shift; None where there is too little to go by, or the windows differ: then the dates are distorted against
        each other, or show other things.
    """
    found = [shift for shift in (phase_shift(*window) for window in _windows(pair)) if shift is not None]
    if not found:
        return None
    shifts = np.array(found)
    median = np.median(shifts, axis=0)
    agreed = np.abs(shifts - median).max(axis=1) <= _AGREE
    if agreed.mean() < _MOST:
        return None
    columns, rows = np.round(np.median(shifts[agreed], axis=0), 1)
    return Shift(float(columns), float(rows))


def phase_shift(before: np.ndarray, after: np.ndarray) -> tuple[float, float] | None:
    """The shift of one image against another.

    Args:
        before, after: `(height, width)`, any numbers.

    Returns:
        Columns and rows by which `after` is moved, less than half a side; None where nothing stands out.
    """
    height, width = before.shape
    taper = np.hanning(height)[:, None] * np.hanning(width)
    spectra = [np.fft.rfft2((image - image.mean()) * taper) for image in (before, after)]
    cross = spectra[1] * spectra[0].conj()
    surface = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-12), s=before.shape)
    row, column = np.unravel_index(surface.argmax(), surface.shape)
    if surface[row, column] * math.sqrt(surface.size) < _NOISE:
        return None
    around_row = surface[[(row - 1) % height, row, (row + 1) % height], column]
    around_column = surface[row, [(column - 1) % width, column, (column + 1) % width]]
    rows, columns = row + _top(around_row), column + _top(around_column)
    return columns - width * (columns > width / 2), rows - height * (rows > height / 2)


def _top(values: np.ndarray) -> float:
    """Where the peak lies between three values, from the middle one: their centre of gravity, -0.5 to 0.5."""
    heights = values.clip(min=0)
    return float((heights[2] - heights[0]) / heights.sum())


def _windows(pair: ScenePair) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Grey windows of both dates that hold data and show something."""
    height, width = (min(_SIDE, side) for side in (pair.before.height, pair.before.width))
    if min(height, width) < _SMALLEST_SIDE:
        return
    tops, lefts = (
        sorted({int(start) for start in np.linspace(0, whole - side, _PER_AXIS)})
        for whole, side in ((pair.before.height, height), (pair.before.width, width))
    )
    for top in tops:
        rows = pair.read_rows(top, top + height)
        for left in lefts:
            part = slice(left, left + width)
            dates = [pixels[:, part].mean(axis=2) for pixels in (rows.before, rows.after)]
            if rows.valid[:, part].all() and all(date.std() > 0 for date in dates):
                yield dates[0], dates[1]


class ShiftedScene:
    """A scene moved back by a shift, interpolated; see `SceneSource`. What it does not cover holds no data."""

    def __init__(self, scene: SceneSource, shift: Shift) -> None:
        self._scene, self._shift = scene, shift
        self.name, self.width, self.height = scene.name, scene.width, scene.height
        self.bands, self.crs, self.transform, self.notes = scene.bands, scene.crs, scene.transform, scene.notes
        self.fingerprint = f"{scene.fingerprint} {shift}"

    def read_rows(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows `top` to `bottom` (exclusive); see `SceneSource`."""
        first_row, down = divmod(self._shift.rows, 1)
        first_column, across = divmod(self._shift.columns, 1)
        pixels, known = self._padded(top + int(first_row), bottom + int(first_row) + 1, int(first_column))
        height, width = bottom - top, self.width
        mixed = np.zeros((len(pixels), height, width))
        valid = np.ones((height, width), dtype=bool)
        for row, row_share in enumerate((1 - down, down)):
            for column, column_share in enumerate((1 - across, across)):
                if row_share * column_share > 0:
                    part = (slice(row, row + height), slice(column, column + width))
                    mixed += row_share * column_share * pixels[:, part[0], part[1]]
                    valid &= known[part]
        return np.where(valid, np.rint(mixed), 0).astype(np.uint8), valid

    def _padded(self, top: int, bottom: int, left: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and one more column from `left` on, which may lie beyond the scene."""
        inside = range(max(top, 0), min(bottom, self.height))
        shape = (bottom - top, self.width + 1)
        pixels, known = np.zeros((len(self.bands), *shape), dtype=np.uint8), np.zeros(shape, dtype=bool)
        if not inside:
            return pixels, known
        values, valid = self._scene.read_rows(inside.start, inside.stop)
        columns = range(max(left, 0), min(left + self.width + 1, self.width))
        if columns:
            rows_there = slice(inside.start - top, inside.stop - top)
            there = slice(columns.start - left, columns.stop - left)
            here = slice(columns.start, columns.stop)
            pixels[:, rows_there, there] = values[:, :, here]
            known[rows_there, there] = True if valid is None else valid[:, here]
        return pixels, known
