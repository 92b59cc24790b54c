"""Cubes in MATLAB, HDF5 and NetCDF 4 files."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .wavelengths import in_nanometres

if TYPE_CHECKING:
    import h5py

__all__ = ["read_array_file"]

Opened = tuple[Any, int, "list[float] | None"]
"""What is read like an array, the axis of its bands, and their wavelengths in nanometres."""

_HDF_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SMALLEST_SIDE = 2


@contextmanager
def read_array_file(path: Path, variable: str | None) -> Iterator[Opened]:
    """Open the cube in a file; errors as `open_cube`.

    A MATLAB file up to version 7 is read as a whole. Its cube is `(height, width, bands)`, as the public test cubes
    are. HDF5 files (MATLAB 7.3 and NetCDF 4 among them) are read in parts; there the axis of the bands is the one that
    has as many places as there are wavelengths, else the last.
    """
    with path.open("rb") as file:
        start = file.read(1024)
    if _HDF_SIGNATURE in start:
        with _open_hdf(path, variable) as opened:
            yield opened
        return
    if path.suffix.lower() != ".mat":
        older = ", but an older NetCDF: convert it with nccopy -k nc4" if start.startswith(b"CDF") else ""
        raise OSError(f"{path} is not an HDF5 or NetCDF 4 file{older}")
    yield _read_matlab(path, variable)


def _read_matlab(path: Path, variable: str | None) -> Opened:
    from scipy.io import loadmat, whosmat

    with _matlab_damage_named(f"{path} cannot be read as a MATLAB file"):
        shapes = {name: shape for name, shape, _ in whosmat(path)}
    name = _the_cube(shapes, variable, path)
    with _matlab_damage_named(f"{path}: the cube {name} cannot be read"):
        return loadmat(path, variable_names=[name])[name], 2, None


@contextmanager
def _matlab_damage_named(problem: str) -> Iterator[None]:
    """Turn what scipy raises for damaged files into an OSError."""
    from scipy.io.matlab import MatReadError

    try:
        yield
    except (MatReadError, ValueError, TypeError, LookupError, OSError, NotImplementedError, zlib.error) as error:
        raise OSError(f"{problem}: {error}") from error


@contextmanager
def _open_hdf(path: Path, variable: str | None) -> Iterator[Opened]:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f'reading {path} (HDF5) needs h5py: pip install "s5_hf[hyperspectral]"') from error
    found: dict[str, h5py.Dataset] = {}
    with ExitStack() as stack:
        try:
            file = stack.enter_context(h5py.File(path, "r"))
            file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
            centres = _wavelengths(found)
        except (OSError, RuntimeError, LookupError) as error:
            raise OSError(f"{path} cannot be read as an HDF5 file: {error}") from error
        name = _the_cube({name: item.shape for name, item in found.items()}, variable, path)
        cube = found[name]
        values = ReversedAxes(cube) if path.suffix.lower() == ".mat" else cube
        axes = [axis for axis, size in enumerate(values.shape) if centres is not None and size == len(centres)]
        yield values, axes[0] if len(axes) == 1 else 2, centres if axes else None


class ReversedAxes:
    """A variable of MATLAB, which counts its first axis fastest, with the axes in the order that MATLAB shows."""

    def __init__(self, stored: h5py.Dataset) -> None:
        self._stored = stored
        self.shape, self.dtype = stored.shape[::-1], stored.dtype

    def __getitem__(self, places: tuple[slice, ...]) -> np.ndarray:
        return self._stored[places[::-1]].T


def _the_cube(shapes: Mapping[str, tuple[int, ...]], variable: str | None, path: Path) -> str:
    """The name of the variable that is the cube."""
    cubes = [name for name, shape in shapes.items() if len(shape) == 3 and min(shape) >= _SMALLEST_SIDE]
    if variable is not None:
        if variable not in cubes:
            raise ValueError(f"{path} has no cube called {variable!r}; its cubes: {', '.join(cubes) or 'none'}")
        return variable
    if len(cubes) != 1:
        named = f"{', '.join(cubes)}; name one of them" if cubes else "no array with three axes"
        raise ValueError(f"expected one cube in {path}, found {named}")
    return cubes[0]


def _wavelengths(found: Mapping[str, h5py.Dataset]) -> list[float] | None:
    for name, item in found.items():
        is_called_so = name.rsplit("/", 1)[-1].lower() in ("wavelength", "wavelengths", "wl")
        if is_called_so and len(item.shape) == 1 and item.size and item.dtype.kind in "iuf":
            unit = item.attrs.get("units", "")
            return in_nanometres([float(value) for value in item[()]], unit if isinstance(unit, str) else "")
    return None
