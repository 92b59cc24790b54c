"""How much ground each class covers: pixels, and square metres where the coordinates allow."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...files.atomic import atomic_file

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS

__all__ = ["AreaCounter", "ClassArea", "pixel_areas", "write_areas"]

_WGS84 = (6378137.0, 298.257223563)
_SPHEROID = re.compile(r'SPHEROID\["[^"]*",\s*([0-9.eE+]+),\s*([0-9.eE+]+)')


@dataclass(frozen=True)
class ClassArea:
    """What one class covers.

    Attributes:
        id, label: of the class.
        pixels: their number.
        share: of the pixels that hold data, 0..1.
        square_metres: on the ground; None where the coordinates do not say.
    """

    id: int
    label: str
    pixels: int
    share: float
    square_metres: float | None


class AreaCounter:
    """Counts the classes of a map while its rows are written.

    Args:
        num_labels: number of classes.
        row_areas: square metres of a pixel in each row of the scene, as `pixel_areas` gives them, or None.
        pixels, square_metres: counts to begin with, of an earlier run.
    """

    def __init__(
        self,
        num_labels: int,
        row_areas: np.ndarray | None,
        pixels: list[int] | None = None,
        square_metres: list[float] | None = None,
    ) -> None:
        self._row_areas = row_areas
        self.pixels = np.zeros(num_labels, dtype=np.int64) if pixels is None else np.array(pixels, dtype=np.int64)
        self.square_metres = np.zeros(num_labels) if square_metres is None else np.array(square_metres)

    def add(self, top: int, classes: np.ndarray) -> None:
        """Count rows of class ids, uint8 `(rows, width)`; ids beyond the classes do not count."""
        for label in range(len(self.pixels)):
            per_row = np.count_nonzero(classes == label, axis=1)
            self.pixels[label] += per_row.sum()
            if self._row_areas is not None:
                self.square_metres[label] += per_row @ self._row_areas[top : top + len(classes)]

    def table(self, id2label: Mapping[int, str]) -> list[ClassArea]:
        """One entry per class, in the order of the ids."""
        total = max(int(self.pixels.sum()), 1)
        return [
            ClassArea(
                index,
                id2label[index],
                int(self.pixels[index]),
                float(self.pixels[index] / total),
                None if self._row_areas is None else float(self.square_metres[index]),
            )
            for index in range(len(self.pixels))
        ]


def pixel_areas(crs: CRS | None, transform: Affine | None, height: int) -> np.ndarray | None:
    """Square metres of a pixel in each row, float64 `(height,)`.

    Projected coordinates: the area of a pixel in the units of the CRS, as metres; no allowance is made for the
    distortion of the projection, except for Web Mercator, where it is 1 / cos^2 of the latitude. Geographic
    coordinates: the exact area of the cell between two parallels on the ellipsoid.

    Args:
        crs, transform: of the scene; None where it has none.
        height: rows of the scene.

    Returns:
        None where there is no CRS, its units are unknown, or geographic rows do not follow the parallels.
    """
    if crs is None or transform is None:
        return None
    tops = transform.f + transform.e * np.arange(height + 1)  # y of the edges of the rows
    if crs.is_geographic:
        if transform.b or transform.d:
            return None
        degree = math.pi / 180
        return _cell_areas(tops * degree, abs(transform.a) * degree, *_spheroid(crs))
    if not crs.is_projected:
        return None
    area = abs(transform.determinant) * crs.linear_units_factor[1] ** 2
    if crs.to_epsg() == 3857:
        middles = transform.f + transform.e * (np.arange(height) + 0.5)
        return area / np.cosh(middles / _WGS84[0]) ** 2  # the cosine of the latitude is 1 / cosh(y / radius)
    return np.full(height, area)


def write_areas(table: list[ClassArea], path: Path) -> None:
    """Write the table as CSV."""
    rows = [asdict(entry) for entry in table]
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _cell_areas(latitudes: np.ndarray, width: float, radius: float, inverse_flattening: float) -> np.ndarray:
    """Areas between successive latitudes (radians) over `width` radians of longitude (Snyder 1987, eq. 3-12)."""
    flattening = 1 / inverse_flattening if inverse_flattening else 0.0
    squared = flattening * (2 - flattening)
    sine = np.sin(np.clip(latitudes, -math.pi / 2, math.pi / 2))
    if squared:
        eccentricity = math.sqrt(squared)
        authalic = sine / (1 - squared * sine**2) + np.arctanh(eccentricity * sine) / eccentricity
        return np.abs(np.diff(authalic)) * width * radius**2 * (1 - squared) / 2
    return np.abs(np.diff(sine)) * width * radius**2


def _spheroid(crs: CRS) -> tuple[float, float]:
    """Semi-major axis in metres and inverse flattening."""
    found = _SPHEROID.search(crs.to_wkt())
    return (float(found[1]), float(found[2])) if found else _WGS84
