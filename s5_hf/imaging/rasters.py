"""Reading publishers' images window by window as 8-bit RGB.

Plain 8-bit PNG, JPEG and TIFF files need Pillow alone. Everything else (16-bit, float, more than three bands, tiled
GeoTIFF that Pillow does not know) goes through rasterio, the `geo` extra, and is scaled to 8 bits.
"""

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from ..dataset_builders.credentials import without_credentials
from ..dataset_builders.images import pillow_reads, unlimited_pixels
from .value_scaling import Scaling
from .windows import Window

if TYPE_CHECKING:
    import rasterio

    from ..modeling.value_scaling import ByteScaling

__all__ = [
    "PADDING_RGB",
    "Scaling",
    "damage_named",
    "open_dataset",
    "open_raster",
    "pad_to",
    "pillow_reads",
    "require_geo",
    "unlimited_pixels",
]

PADDING_RGB = (124, 116, 104)
"""What fills a patch beyond the image: the mean colour, as the official DOTA patches have it."""

# Percentiles of a large raster are taken from a reduced copy of at most this many pixels a side.
_STATISTICS_SIDE = 2048


class Raster(Protocol):
    """An open image of `width` x `height` pixels."""

    width: int
    height: int

    def read(self, window: Window) -> np.ndarray:
        """The part of the window that lies on the image: `(height, width, 3)`, uint8, RGB."""
        ...


@contextmanager
def open_raster(
    path: Path, scaling: Scaling | None = None, bands: tuple[int, int, int] | None = None
) -> Iterator[Raster]:
    """Open an image for reading windows of it.

    Args:
        path: the file.
        scaling: how other value types become 8-bit; percentiles 2 and 98 if not given.
        bands: which bands, counted from 1, become red, green and blue. By default the first three, or the single one.

    Raises:
        ImportError: the file needs rasterio, which is not installed.
        OSError: the file cannot be read as an image.
        ValueError: a band is asked for that the file does not have.
    """
    scaling = scaling or Scaling()
    if bands is None and scaling.values is None and pillow_reads(path):
        with unlimited_pixels(), Image.open(path) as image:
            yield _PillowRaster(image, path)
        return
    require_geo(f"{path} is not a plain 8-bit image, or bands or a value range were asked for: reading it", "rasterio")
    with open_dataset(path) as dataset:
        yield _RasterioRaster(dataset, path, scaling, bands)


@contextmanager
def damage_named(path: str | Path) -> Iterator[None]:
    """Turn what Pillow and rasterio raise for a damaged file into an OSError that names it, without credentials."""
    try:
        yield
    except (OSError, SyntaxError, ValueError) as error:
        problem = f"{path} cannot be read as an image: {error.__cause__ or error}"
        raise OSError(without_credentials(problem)) from None


@contextmanager
def open_dataset(source: str | Path) -> "Iterator[rasterio.DatasetReader]":
    """Open a file or URL with rasterio, which must be installed; a file without coordinates gives no warning.

    Raises:
        OSError: it cannot be read as an image, or is an ENVI file that was cut off; the message holds no credentials
            of the URL.
    """
    import rasterio
    import rasterio.errors

    with damage_named(source), warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        dataset = rasterio.open(source)
    with dataset:
        refuse_cut_envi(dataset, source)
        yield dataset


def refuse_cut_envi(dataset: "rasterio.DatasetReader", source: str | Path) -> None:
    """Raise an OSError for an ENVI file that ends before its header says; GDAL reads what is missing as 0."""
    path = Path(source)
    of_header = dataset.tags(ns="ENVI")
    if dataset.driver != "ENVI" or of_header.get("file_compression", "0") != "0" or not path.is_file():
        return
    value_bytes = np.dtype(dataset.dtypes[0]).itemsize
    promised = dataset.width * dataset.height * dataset.count * value_bytes + int(of_header.get("header_offset", 0))
    if path.stat().st_size < promised:
        raise OSError(
            f"{path} has {path.stat().st_size:,} bytes, but its ENVI header promises {promised:,}: {dataset.width} "
            f"samples, {dataset.height} lines and {dataset.count} bands of {dataset.dtypes[0]}. It was cut off, or "
            "the header is of another file"
        )


def pad_to(pixels: np.ndarray, width: int, height: int, fill: int | tuple[int, int, int]) -> np.ndarray:
    """Extend an image `(h, w)` or `(h, w, channels)` to the right and below with one value."""
    if pixels.shape[0] == height and pixels.shape[1] == width:
        return pixels
    padded = np.empty((height, width, *pixels.shape[2:]), dtype=pixels.dtype)
    padded[...] = fill
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    return padded


def _inside(window: Window, raster: Raster) -> Window:
    """The part of a window that lies on the image; its width or height is 0 where there is no such part."""
    left, top = min(window.left, raster.width), min(window.top, raster.height)
    return Window(left, top, min(window.right, raster.width), min(window.bottom, raster.height))


def require_geo(purpose: str, *packages: str) -> None:
    """Raise an ImportError that says what to install if packages of the extra `geo`, for `purpose`, are missing."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ImportError(f'{purpose} needs {", ".join(missing)}. Install with: pip install "s5_hf[geo]"')


class _PillowRaster:
    """An 8-bit image, decoded as a whole on the first read."""

    def __init__(self, image: Image.Image, path: Path):
        self.width, self.height = image.size
        self._image = image
        self._path = path

    def read(self, window: Window) -> np.ndarray:
        with damage_named(self._path):
            return np.asarray(self._image.crop(_inside(window, self)).convert("RGB"))


class _RasterioRaster:
    """Any image that GDAL reads; windows are read from the file, so that memory does not depend on its size."""

    def __init__(
        self,
        dataset: "rasterio.io.DatasetReader",
        path: Path,
        scaling: Scaling,
        bands: tuple[int, int, int] | None,
    ):
        self.width, self.height = dataset.width, dataset.height
        self._dataset = dataset
        self._path = path
        if bands is None:
            bands = (1, 2, 3) if dataset.count >= 3 else (1, 1, 1)
        if len(bands) != 3 or not all(1 <= band <= dataset.count for band in bands):
            chosen = ", ".join(map(str, bands))
            raise ValueError(f"{path} has bands 1 to {dataset.count}, three are needed, asked for {chosen}")
        self._bands = bands
        self._scaling = self._byte_scaling(scaling)

    def _byte_scaling(self, scaling: Scaling) -> "ByteScaling | None":
        """How values become bytes; None where they are 8-bit already."""
        kinds = {self._dataset.dtypes[band - 1] for band in self._bands}
        kind = kinds.pop() if len(kinds) == 1 else "float64"
        fixed = scaling.fixed(3, kind, str(self._path))
        if fixed is not None or kind == "uint8":
            return fixed
        ratio = max(1.0, max(self.width, self.height) / _STATISTICS_SIDE)
        shape = (3, max(1, round(self.height / ratio)), max(1, round(self.width / ratio)))
        pixels = self._read(out_shape=shape, masked=True).astype(np.float64)
        from ..modeling.value_scaling import ByteScaling

        return ByteScaling.of_sample(np.ma.masked_invalid(pixels).reshape(3, -1), scaling.percentiles, kind)

    def _read(self, **options) -> np.ndarray:
        with damage_named(self._path):
            return self._dataset.read(list(self._bands), **options)

    def read(self, window: Window) -> np.ndarray:
        from rasterio.windows import Window as RasterioWindow

        part = _inside(window, self)
        if not part.width or not part.height:
            return np.zeros((part.height, part.width, 3), dtype=np.uint8)
        pixels = self._read(window=RasterioWindow(part.left, part.top, part.width, part.height))
        pixels = pixels if self._scaling is None else self._scaling.to_bytes(pixels)
        return np.ascontiguousarray(pixels.transpose(1, 2, 0))
