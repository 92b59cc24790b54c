"""Cubes that rasterio opens: ENVI, GeoTIFF and others (the extra `geo`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..dataset_builders.band_files import require_real
from ..imaging.rasters import damage_named, open_dataset, require_geo
from ..imaging.windows import Window
from .cube import chosen_bands, file_identity, valid_values
from .wavelengths import in_nanometres

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

__all__ = ["RasterCube", "open_raster_cube"]

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


@contextmanager
def open_raster_cube(
    path: Path, bands: Sequence[int] | None, wavelengths: Sequence[float] | None, nodata: float | None
) -> Iterator[RasterCube]:
    """Open a cube; arguments and errors as `open_cube`. Of an ENVI cube the header (`.hdr`) may be named too."""
    require_geo(f"reading {path}", "rasterio")
    with open_dataset(data_file(path)) as dataset:
        yield RasterCube(dataset, path, bands, wavelengths, nodata)


class RasterCube:
    """A cube that rasterio has opened; see `HyperspectralCube`."""

    def __init__(
        self,
        dataset: DatasetReader,
        path: Path,
        bands: Sequence[int] | None,
        wavelengths: Sequence[float] | None,
        nodata: float | None,
    ) -> None:
        self._dataset = dataset
        self.name = str(path)
        self.width, self.height = dataset.width, dataset.height
        self.crs = dataset.crs
        self.transform = None if dataset.crs is None and dataset.transform.is_identity else dataset.transform
        centres = own_wavelengths(dataset) if wavelengths is None else wavelengths
        self.bands, self.wavelengths = chosen_bands(dataset.count, bands, centres, self.name)
        require_real(dataset, self.bands, self.name)
        self._nodata = dataset.nodata if nodata is None else nodata
        self.notes: list[str] = []
        if dataset.crs is None:
            self.notes.append(f"{path} has no CRS: the map has none either, and areas are given in pixels only")
        if centres is None and dataset.tags(ns="ENVI").get("wavelength"):
            self.notes.append(f"{path} does not list one wavelength for each of its bands: they are not used")
        self.fingerprint = f"{file_identity(path)} {self.bands} {self._nodata}"

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """A window; see `HyperspectralCube`."""
        from rasterio.windows import Window as Place

        with damage_named(self.name):
            block = self._dataset.read(self.bands, window=Place(window.left, window.top, window.width, window.height))
        return valid_values(block, self._nodata, self.name)


def data_file(path: Path) -> Path:
    """The file with the values that goes with an ENVI header, or the file itself.

    Raises:
        FileNotFoundError: there is no file beside the header.
    """
    if path.suffix.lower() != ".hdr":
        return path
    for suffix in ("", ".img", ".dat", ".raw", ".bsq", ".bil", ".bip"):
        candidate = path.with_suffix(suffix)
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"there is no file with the values of {path}, such as {path.with_suffix('.img').name}")


def own_wavelengths(dataset: DatasetReader) -> list[float] | None:
    """The centres of the bands in nanometres, as an ENVI header or the bands themselves give them; None without."""
    of_file = dataset.tags(ns="ENVI")
    listed = _NUMBER.findall(of_file.get("wavelength", ""))
    unit = of_file.get("wavelength_units", "")
    if len(listed) != dataset.count:
        tags = [dataset.tags(band) for band in dataset.indexes]
        listed = [tag.get("wavelength", "") for tag in tags]
        unit = tags[0].get("wavelength_units", "")
    try:
        centres = [float(text) for text in listed]
    except ValueError:
        return None
    return in_nanometres(centres, unit)
