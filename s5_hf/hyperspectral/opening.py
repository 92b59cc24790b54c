"""Opening hyperspectral cubes in files of many kinds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .array_files import read_array_file
from .cube import ArrayCube, HyperspectralCube, file_identity
from .raster_cube import open_raster_cube

__all__ = ["open_cube"]

MATLAB, HDF = ".mat", (".h5", ".he5", ".hdf5", ".nc", ".nc4")


@contextmanager
def open_cube(
    path: str | Path,
    bands: Sequence[int] | None = None,
    wavelengths: Sequence[float] | None = None,
    variable: str | None = None,
    nodata: float | None = None,
) -> Iterator[HyperspectralCube]:
    """Open a cube.

    Args:
        path: ENVI (`.hdr` beside it), a GeoTIFF or whatever rasterio opens; MATLAB (`.mat`); HDF5 or NetCDF 4
            (`.h5`, `.nc`).
        bands: numbers from 1 of the bands to read; all if left out.
        wavelengths: centres in nanometres, one for each band of the file; by default those in the file.
        variable: of a MATLAB, HDF5 or NetCDF file with several cubes.
        nodata: value of pixels without data; by default the one stored in the file.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: the file needs rasterio (the extra `geo`) or h5py (the extra `hyperspectral`).
        OSError: it cannot be read.
        ValueError: there is no cube in it or more than one, a band is not there, or there are not as many wavelengths
            as bands.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a hyperspectral cube (ENVI, GeoTIFF, MATLAB, HDF5)")
    if path.suffix.lower() in (MATLAB, *HDF):
        with read_array_file(path, variable) as (values, band_axis, in_file):
            centres = in_file if wavelengths is None else np.asarray(wavelengths, dtype=float)
            yield ArrayCube(values, str(path), band_axis, bands, centres, nodata, fingerprint=file_identity(path))
        return
    with open_raster_cube(path, bands, wavelengths, nodata) as cube:
        yield cube
