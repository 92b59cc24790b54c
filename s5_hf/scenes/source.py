"""Scenes to read from: everything that rasterio opens, plain images with Pillow alone, and pictures in memory.

A scene gives its rows from top to bottom as bytes, and says which of its pixels hold data.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..imaging.decoded_pixels import MAXIMUM_PIXELS, require_decodable
from ..imaging.rasters import damage_named, pillow_reads, require_geo, unlimited_pixels
from ..imaging.scene_files import is_remote
from ..imaging.value_scaling import Scaling
from .reading import SceneReading, default_bands, require_bands
from .stac import is_item, item_asset

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS

__all__ = ["ArrayScene", "SceneSource", "has_rasterio", "open_scene"]

# Tags of GeoTIFF: pixel scale, tie points, keys.
_GEOTIFF_TAGS = (33550, 33922, 34735)
_COLORS = {"R": "red", "G": "green", "B": "blue", "L": "gray", "A": "alpha"}
_WORLD_FILES = (".pgw", ".jgw", ".tfw", ".wld", ".pngw", ".jpgw", ".bpw")


class SceneSource(Protocol):
    """An open scene.

    Attributes:
        name: path or URL.
        width, height: in pixels.
        bands: numbers of the bands that become the channels, counted from 1.
        crs, transform: of rasterio; None where the scene has none.
        notes: what the user should know about how the scene is read, a sentence each.
        fingerprint: changes when the scene or the way it is read does.
    """

    name: str
    width: int
    height: int
    bands: list[int]
    crs: CRS | None
    transform: Affine | None
    notes: list[str]
    fingerprint: str

    def read_rows(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows `top` to `bottom` (exclusive).

        Returns:
            pixels: uint8 `(channels, bottom - top, width)`, 0 where there is no data (as training pads with 0).
            valid: bool `(bottom - top, width)`, or None where every pixel holds data.

        Raises:
            OSError: the file cannot be read; the message names it.
        """
        ...


@contextmanager
def open_scene(
    source: str | Path,
    num_channels: int = 3,
    reading: SceneReading | None = None,
) -> Iterator[SceneSource]:
    """Open a scene.

    8-bit PNG, JPEG and the like are read with Pillow, as a whole. Everything else is read with rasterio, row by row;
    without rasterio a plain 8-bit TIFF goes to Pillow too.

    Args:
        source: a path; a URL (http, https: by byte ranges, for COGs); a name that GDAL knows (`/vsizip/...`); or a
            STAC item, a `.json` file that points to the image.
        num_channels: of the network.
        reading: bands, scaling and what holds no data.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: the file needs rasterio, which is not installed.
        OSError: the file cannot be read as an image, or is cut off.
        ValueError: the bands do not fit the network (the message lists the bands), their values are complex numbers,
            or an image is too large to be decoded as a whole.
    """
    reading = reading or SceneReading()
    if not is_remote(source) and not Path(source).is_file():
        raise FileNotFoundError(f"{source} is not a file; expected an image, a URL or a name that GDAL knows")
    if is_item(source):
        source = item_asset(source, reading.asset)
        if not is_remote(source) and not Path(source).is_file():
            raise FileNotFoundError(f"{source}, which the STAC item points to, is not a file")
    if _is_for_pillow(source):
        limit = MAXIMUM_PIXELS if reading.maximum_pixels is None else reading.maximum_pixels
        with unlimited_pixels(), _open_with_pillow(Path(source), limit) as image:
            yield PillowScene(image, Path(source), num_channels, reading)
        return
    require_geo(f"{source} is not a plain 8-bit image file: reading it", "rasterio")
    from .rasterio_source import open_with_rasterio

    with open_with_rasterio(source, num_channels, reading) as scene:
        yield scene


def has_rasterio() -> bool:
    """Whether rasterio, the extra `geo`, is installed."""
    return importlib.util.find_spec("rasterio") is not None


class PillowScene:
    """An 8-bit image, decoded as a whole when it is opened.

    Transparent pixels hold no data, unless transparency is a channel: where it is asked for, or where the image has as
    many channels with it as the network takes.
    """

    def __init__(self, image: Image.Image, path: Path, num_channels: int, reading: SceneReading) -> None:
        self.name = str(path)
        self.width, self.height = image.size
        self.crs = self.transform = None
        self.notes: list[str] = []
        if image.format == "TIFF" and any(tag in image.tag_v2 for tag in _GEOTIFF_TAGS):
            self.notes.append(f'{path} has coordinates, which are lost: pip install "s5_hf[geo]" to keep them')
        self._image = _plain(image)
        names = self._image.getbands()
        described = ", ".join(f"{index} ({name})" for index, name in enumerate(names, start=1))
        colors = [index for index, name in enumerate(names, start=1) if name != "A"]
        default = default_bands(colors, len(names), num_channels)
        self.bands = reading.numbers(default, [(_COLORS.get(name), name) for name in names], self.name, described)
        require_bands(self.bands, num_channels, len(names), self.name, described)
        self._has_mask = "A" in names and len(names) not in self.bands
        self._nodata = reading.nodata
        scaling = reading.scaling or Scaling()
        self._scaling = scaling.fixed(num_channels, np.uint8, self.name)
        stat, ranges = path.stat(), scaling.values or scaling.ranges
        self.fingerprint = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns} {self.bands} {ranges} {self._nodata}"

    def read_rows(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray | None]:
        rows = np.asarray(self._image.crop((0, top, self.width, bottom)))
        rows = rows.reshape(bottom - top, self.width, -1)
        pixels = np.ascontiguousarray(rows[..., [band - 1 for band in self.bands]].transpose(2, 0, 1))
        valid = rows[..., -1] > 0 if self._has_mask else None
        if self._nodata is not None:
            has_data = (pixels != self._nodata).any(axis=0)
            valid = has_data if valid is None else valid & has_data
        pixels = self._scaling.to_bytes(pixels) if self._scaling else pixels
        if valid is not None:
            pixels[:, ~valid] = 0
        return pixels, valid


def _is_for_pillow(source: str | Path) -> bool:
    if is_remote(source):
        return False
    path = Path(source)
    if has_rasterio() and any(path.with_suffix(suffix).is_file() for suffix in _WORLD_FILES):
        return False
    with damage_named(source):
        try:
            with unlimited_pixels(), Image.open(path) as image:
                if image.format == "TIFF" and has_rasterio():
                    return False
        except UnidentifiedImageError:
            return False
    return pillow_reads(path)


@contextmanager
def _open_with_pillow(path: Path, maximum_pixels: int) -> Iterator[Image.Image]:
    with Image.open(path) as image:
        require_decodable(image, path, maximum_pixels)
        with damage_named(path):
            image.load()
        yield image


def _plain(image: Image.Image) -> Image.Image:
    """The image as L, LA, RGB or RGBA."""
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


class ArrayScene:
    """Pixels uint8 `(height, width, channels)`, all with data; see `SceneSource`.

    Raises:
        ValueError: another type or shape.
    """

    def __init__(self, pixels: np.ndarray, name: str = "image") -> None:
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.size == 0:
            raise ValueError(
                f"{name}: expected pixels uint8 (height, width, channels), got {pixels.dtype} {pixels.shape}"
            )
        self._pixels = pixels
        self.name = name
        self.height, self.width = pixels.shape[:2]
        self.bands = list(range(1, pixels.shape[2] + 1))
        self.crs = self.transform = None
        self.notes: list[str] = []

    @cached_property
    def fingerprint(self) -> str:
        """Of all pixels."""
        digest = hashlib.blake2b(np.ascontiguousarray(self._pixels), digest_size=16).hexdigest()
        return f"{self._pixels.shape} {digest}"

    def read_rows(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray | None]:
        return np.ascontiguousarray(self._pixels[top:bottom].transpose(2, 0, 1)), None
