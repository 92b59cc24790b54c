"""Hyperspectral cubes to read from, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..imaging.windows import Window

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS

__all__ = ["ArrayCube", "HyperspectralCube"]

LEAST_BANDS = 4
LARGEST_VALUE = 1e30
"""Of a measurement in any unit; bytes in the wrong order make larger ones."""


class HyperspectralCube(Protocol):
    """An open cube.

    Attributes:
        name: path, or what the user calls it.
        width, height: in pixels.
        bands: numbers of the bands in the file that are read, counted from 1.
        wavelengths: centres of these bands in nanometres, or None.
        crs, transform: of rasterio; None where the cube has none.
        notes: what the user should know, a sentence each.
        fingerprint: changes when the cube or the way it is read does.
    """

    name: str
    width: int
    height: int
    bands: list[int]
    wavelengths: np.ndarray | None
    crs: CRS | None
    transform: Affine | None
    notes: list[str]
    fingerprint: str

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """A window that lies on the cube.

        Returns:
            values: float32 `(bands, height, width)`, 0 where there is no data.
            valid: bool `(height, width)`.

        Raises:
            OSError: the file cannot be read; the message names it.
        """
        ...


class ArrayCube:
    """A cube in an array, or in what is read like one; see `HyperspectralCube`.

    Args:
        values: real numbers with three axes.
        name: for messages.
        band_axis: the axis of the bands; the other two are height and width, in this order.
        bands, wavelengths, nodata: as `open_cube` takes them.
        fingerprint: of the values; a checksum of them by default.

    Raises:
        ValueError: as `open_cube`.
    """

    def __init__(
        self,
        values: np.ndarray,
        name: str = "cube",
        band_axis: int = 2,
        bands: Sequence[int] | None = None,
        wavelengths: Sequence[float] | None = None,
        nodata: float | None = None,
        fingerprint: str = "",
    ) -> None:
        if len(values.shape) != 3 or not np.issubdtype(values.dtype, np.number) or values.dtype.kind == "c":
            raise ValueError(f"{name}: expected real numbers with three axes, got {values.dtype} {values.shape}")
        if not -3 <= band_axis < 3:
            raise ValueError(f"{name}: band_axis must be 0, 1 or 2, got {band_axis}")
        self._values, self._axis, self._nodata = values, band_axis % 3, nodata
        self.name = name
        self.height, self.width = (size for axis, size in enumerate(values.shape) if axis != self._axis)
        self.bands, self.wavelengths = chosen_bands(values.shape[self._axis], bands, wavelengths, name)
        self.crs = self.transform = None
        self.notes: list[str] = []
        self.fingerprint = f"{fingerprint or _checksum(values)} {self.bands} {nodata}"

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """A window; see `HyperspectralCube`."""
        first, last = self.bands[0] - 1, self.bands[-1]
        places: list[slice] = [slice(window.top, window.bottom), slice(window.left, window.right)]
        places.insert(self._axis, slice(first, last))
        try:
            block = np.asarray(self._values[tuple(places)])
        except OSError as error:  # of HDF5, which does not name the file
            raise OSError(f"{self.name} cannot be read: {error}") from error
        block = np.moveaxis(block, self._axis, 0)
        return valid_values(block[[band - 1 - first for band in self.bands]], self._nodata, self.name)


def chosen_bands(
    count: int, bands: Sequence[int] | None, wavelengths: Sequence[float] | None, name: str
) -> tuple[list[int], np.ndarray | None]:
    """The numbers of the bands to read, rising, and their wavelengths.

    Raises:
        ValueError: as `open_cube`, or fewer than four bands are left.
    """
    numbers = sorted(set(range(1, count + 1) if bands is None else bands))
    outside = [number for number in numbers if not 1 <= number <= count]
    if outside:
        raise ValueError(f"{name} has {count} bands, there is no band {outside[0]}")
    if len(numbers) < LEAST_BANDS:
        raise ValueError(f"expected {LEAST_BANDS} bands or more, {name} gives {len(numbers)}")
    if wavelengths is None:
        return numbers, None
    centres = np.asarray(wavelengths, dtype=float)
    if centres.shape != (count,) or not np.isfinite(centres).all() or (centres <= 0).any():
        raise ValueError(f"{name} has {count} bands; expected as many positive wavelengths, got {centres.size}")
    return numbers, centres[[number - 1 for number in numbers]]


def valid_values(block: np.ndarray, nodata: float | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Values `(bands, height, width)` as float32, 0 where there is no data, and where there is.

    Raises:
        ValueError: they are larger than anything a sensor measures.
    """
    values = np.ascontiguousarray(block, dtype=np.float32)
    valid = np.isfinite(values).all(axis=0)
    if nodata is not None:
        valid &= (block != nodata).any(axis=0)
    values[:, ~valid] = 0
    largest = np.abs(values).max(initial=0)
    if largest > LARGEST_VALUE:
        raise ValueError(
            f"{name} holds values up to {largest:.1e}. Is the byte order in its header right? If this is the value of "
            "pixels without data, name it (nodata)"
        )
    return values, valid


def file_identity(path: Path) -> str:
    """Changes when a file does, as far as that can be seen from outside."""
    stat = path.stat()
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"


def _checksum(values: np.ndarray) -> str:
    import zlib

    return f"{values.shape} {zlib.crc32(np.ascontiguousarray(values).tobytes()):08x}"
