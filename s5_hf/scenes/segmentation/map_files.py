"""Maps written block of rows by block of rows, so that what is written survives an interruption."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ...imaging.palettes import Palette
from .class_rows import BYTE_SCALE, NO_DATA

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader, DatasetWriter

__all__ = [
    "BLOCK_SIDE",
    "CloudOptimizedMap",
    "GeoTiffMap",
    "MapFile",
    "MapLayout",
    "PngMap",
    "is_geotiff",
    "map_paths",
    "mapped_bytes",
    "open_map",
]

BLOCK_SIDE = 512
"""Side of the tiles of a GeoTIFF, and rows per block of writing."""

_CREATION_OPTIONS = {
    "driver": "GTiff",
    "dtype": "uint8",
    "tiled": True,
    "blockxsize": BLOCK_SIDE,
    "blockysize": BLOCK_SIDE,
    "compress": "deflate",
    "interleave": "band",
    "BIGTIFF": "IF_SAFER",
}
_COG_OPTIONS = {
    "driver": "COG",
    "blocksize": BLOCK_SIDE,
    "compress": "deflate",
    "predictor": "no",
    "bigtiff": "if_safer",
    "overviews": "ignore_existing",
}


@dataclass(frozen=True)
class MapLayout:
    """What a map is besides its pixels.

    Attributes:
        height, width: in pixels.
        bands: names of the bands.
        crs, transform: of the scene, None where it has none.
        palette: of a map of classes; None for values 0..254, which stand for 0..1.
        tags: text that is stored in the file.
    """

    height: int
    width: int
    bands: Sequence[str]
    crs: CRS | None
    transform: Affine | None
    palette: Palette | None
    tags: Mapping[str, str]


class MapFile(Protocol):
    """A map that is being written; 255 stands for no data."""

    def write(self, top: int, rows: np.ndarray) -> None:
        """Write rows uint8 `(bands, rows, width)`; they are safe on the disk afterwards.

        Raises:
            OSError: they cannot be written.
        """
        ...

    def read(self, top: int, bottom: int) -> np.ndarray:
        """Rows `top` to `bottom` (exclusive) that have been written, uint8 `(bands, rows, width)`.

        Raises:
            OSError: they cannot be read.
        """
        ...

    def finish(self) -> list[tuple[Path, Path]]:
        """Complete the map; the temporary files and the names that they are to get."""
        ...


def is_geotiff(path: Path) -> bool:
    """Whether a map of that name is a GeoTIFF."""
    return path.suffix.lower() in (".tif", ".tiff")


class GeoTiffMap:
    """A map as GeoTIFF, in tiles of 512 x 512, compressed, with overviews; needs rasterio.

    Args:
        temporary: the file while it is made; an existing one is continued.
        final: the name that it is to get.
        layout: of the map.
    """

    def __init__(self, temporary: Path, final: Path, layout: MapLayout) -> None:
        self._temporary, self._final, self._layout = temporary, final, layout
        if not temporary.exists():
            self._create()

    def write(self, top: int, rows: np.ndarray) -> None:
        from rasterio.windows import Window

        # Closing after every block keeps the file whole: a run that is killed loses one block at most.
        with self._opened("r+") as dataset:
            dataset.write(rows, window=Window(0, top, self._layout.width, rows.shape[1]))
        self._require_written(top, rows)

    def read(self, top: int, bottom: int) -> np.ndarray:
        from rasterio.windows import Window

        with self._opened("r") as dataset:
            return dataset.read(window=Window(0, top, self._layout.width, bottom - top))

    def finish(self) -> list[tuple[Path, Path]]:
        from rasterio.enums import Resampling

        # Overviews halve the map until its longer side fits into one tile.
        side = max(self._layout.width, self._layout.height)
        factors = [2**level for level in range(1, 16) if side / 2 ** (level - 1) > BLOCK_SIDE]
        if factors:
            is_classes = self._layout.palette is not None
            with self._opened("r+") as dataset:
                dataset.build_overviews(factors, Resampling.nearest if is_classes else Resampling.average)
        return [(self._temporary, self._final)]

    def _create(self) -> None:
        layout = self._layout
        options = {"width": layout.width, "height": layout.height, "count": len(layout.bands), "nodata": NO_DATA}
        if layout.crs is not None:
            options["crs"] = layout.crs
        if layout.transform is not None:
            options["transform"] = layout.transform
        with self._opened("w", **_CREATION_OPTIONS, **options) as dataset:
            dataset.update_tags(**layout.tags)
            dataset.descriptions = tuple(layout.bands)
            if layout.palette is None:
                dataset.scales = [1 / BYTE_SCALE] * len(layout.bands)
            else:
                colors = {index: (*color, 255) for index, color in enumerate(layout.palette)}
                dataset.write_colormap(1, {**colors, NO_DATA: (0, 0, 0, 0)})

    @contextmanager
    def _opened(self, mode: str, **options: object) -> Iterator[DatasetReader | DatasetWriter]:
        import rasterio
        import rasterio.errors

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
                dataset = rasterio.open(self._temporary, mode, **options)
            with dataset:
                yield dataset
        except rasterio.errors.RasterioError as error:
            raise OSError(f"{self._final} cannot be written; is the disk full? {error.__cause__ or error}") from error

    def _require_written(self, top: int, rows: np.ndarray) -> None:
        """GDAL does not say so when a disk is full, so the last rows are read back."""
        bottom = top + rows.shape[1]
        stored = self.read(bottom - 1, bottom)
        if not np.array_equal(stored, rows[:, -1:]):
            raise OSError(f"{self._final} cannot be written: is the disk full?")


class CloudOptimizedMap(GeoTiffMap):
    """A map that becomes a cloud optimized GeoTIFF (COG) when it is complete: header and overviews before the tiles.

    Such a file cannot be written row by row, so GDAL copies the finished rows.
    """

    def finish(self) -> list[tuple[Path, Path]]:
        import rasterio.errors
        import rasterio.shutil

        copy = self._temporary.with_name(f"{self._temporary.stem}_cog.tif")
        is_classes = self._layout.palette is not None
        options = _COG_OPTIONS | {"overview_resampling": "nearest" if is_classes else "average"}
        try:
            rasterio.shutil.copy(self._temporary, copy, **options)
        except rasterio.errors.RasterioError as error:
            raise OSError(f"{self._final} cannot be written; is the disk full? {error.__cause__ or error}") from error
        return [(copy, self._final)]


class PngMap:
    """A map as PNG with Pillow alone: one file for classes, one grey picture per band for values.

    Args:
        temporary: a raw file that holds the pixels while they are made; an existing one is continued.
        final: the name of the map; bands of values get their number and name added.
        layout: of the map.
    """

    def __init__(self, temporary: Path, final: Path, layout: MapLayout) -> None:
        self._temporary, self._final, self._layout = temporary, final, layout
        self._pixels = mapped_bytes(temporary, (len(layout.bands), layout.height, layout.width))

    def write(self, top: int, rows: np.ndarray) -> None:
        self._pixels[:, top : top + rows.shape[1]] = rows
        self._pixels.flush()

    def read(self, top: int, bottom: int) -> np.ndarray:
        return np.array(self._pixels[:, top:bottom])

    def finish(self) -> list[tuple[Path, Path]]:
        information = PngInfo()
        for name, text in self._layout.tags.items():
            information.add_text(name, text)
        files = []
        for index, final in enumerate(map_paths(self._final, self._layout.bands)):
            image = Image.fromarray(self._pixels[index])
            if self._layout.palette is not None:
                image.putpalette(_palette_bytes(self._layout.palette))
            temporary = self._temporary.with_name(f"{self._temporary.stem}_{index}.png")
            options = {} if self._layout.palette is None else {"transparency": NO_DATA}
            image.save(temporary, format="PNG", pnginfo=information, **options)
            files.append((temporary, final))
        return files


def open_map(folder: Path, final: Path, layout: MapLayout, cloud_optimized: bool = False) -> MapFile:
    """The map that is to be called `final`, begun or continued in `folder`, in the format of its suffix."""
    if is_geotiff(final):
        kind = CloudOptimizedMap if cloud_optimized else GeoTiffMap
        return kind(folder / f"{final.stem}.tif", final, layout)
    return PngMap(folder / f"{final.stem}.raw", final, layout)


def map_paths(final: Path, bands: Sequence[str]) -> list[Path]:
    """The files of a map called `final`: one, or for several bands as PNG a picture each, with its number and name."""
    if is_geotiff(final) or len(bands) == 1:
        return [final]
    return [final.with_name(f"{final.stem}_{index}_{_file_name(name)}.png") for index, name in enumerate(bands)]


def _palette_bytes(palette: Palette) -> list[int]:
    colors = np.zeros((256, 3), dtype=np.uint8)
    colors[: len(palette)] = palette
    return colors.reshape(-1).tolist()


def _file_name(label: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in label)


def mapped_bytes(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """An array uint8 of that shape in a file; what an existing file holds is kept, a new one holds zeros.

    Raises:
        OSError: there is no room for it.
    """
    if not path.exists():
        try:
            _take_room(path, int(np.prod(shape)))
        except OSError as error:
            raise OSError(f"{path} cannot be written; is the disk full? {error}") from error
    return np.memmap(path, dtype=np.uint8, mode="r+", shape=shape)


def _take_room(path: Path, size: int) -> None:
    """Make a file of that size; room is taken at once, as writing to a mapped file on a full disk ends the process."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
