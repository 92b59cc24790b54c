"""Files of any number of bands and any depth, opened with rasterio (the extra `geo`), and the names of their bands.

Datasets and scenes read bands alike: a band is called by its number from 1, by its description or by its colour, a
band that marks transparency (alpha) is no data by itself, and a file may say which pixels hold no data.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from .credentials import without_credentials
from .errors import CorruptImageError, SampleError

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

__all__ = [
    "band_numbers",
    "color_bands",
    "describe_bands",
    "encode_bands",
    "open_bands",
    "own_mask",
    "own_name",
    "require_real",
    "valid_pixels",
]

Band = int | str
_SAY_NOTHING = ("undefined", "gray", "alpha", "palette")
"""What rasterio calls the colour of bands that it knows no colour of."""


@contextmanager
def open_bands(image: bytes | str, name: str) -> Iterator[DatasetReader]:
    """Open an encoded image, given as bytes or as a local path.

    Raises:
        ImportError: if rasterio is not installed.
        CorruptImageError: if the image cannot be opened, or not be read within the block.
    """
    try:
        import rasterio
        import rasterio.errors
    except ImportError as error:
        raise ImportError(
            f"{name} is not a plain 8-bit image (or bands were asked for): reading it needs rasterio. Install it "
            'with: pip install "s5_hf[geo]"'
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            if isinstance(image, bytes):
                with rasterio.MemoryFile(image) as memory, memory.open() as dataset:
                    yield dataset
            else:
                with rasterio.open(image) as dataset:
                    yield dataset
    except rasterio.errors.RasterioIOError as error:
        raise CorruptImageError(without_credentials(f"{name}: {error.__cause__ or error}")) from error


def describe_bands(dataset: DatasetReader) -> str:
    """The bands of a file for people: number, colour, type and description."""
    described = []
    for band in range(1, dataset.count + 1):
        words = [dataset.colorinterp[band - 1].name, dataset.dtypes[band - 1], dataset.descriptions[band - 1]]
        described.append(f"{band} ({', '.join(word for word in words if word and word != 'undefined')})")
    return ", ".join(described)


def color_bands(dataset: DatasetReader) -> list[int]:
    """The numbers of the bands that do not mark transparency."""
    return [band for band, color in enumerate(dataset.colorinterp, start=1) if color.name != "alpha"]


def band_numbers(
    bands: Sequence[Band], described: Sequence[tuple[str | None, str]], name: str, words: str
) -> list[int]:
    """The numbers of the bands that are asked for, by number or by name.

    Args:
        bands: numbers from 1, descriptions or colours; upper and lower case do not matter.
        described: description (or None) and colour of each band of the file.
        name: of the file.
        words: the bands of the file for people.

    Raises:
        SampleError: if the file has no such band, or two of the name.
    """
    return [_band_number(band, described, name, words) for band in bands]


def _band_number(band: Band, described: Sequence[tuple[str | None, str]], name: str, words: str) -> int:
    if isinstance(band, str) and not band.isdigit():
        for names in zip(*described, strict=True):
            found = [number for number, known in enumerate(names, start=1) if (known or "").lower() == band.lower()]
            if len(found) == 1:
                return found[0]
            if found:
                raise SampleError(f"{name} has {len(found)} bands called {band!r}, choose by number; it has: {words}")
        raise SampleError(f"{name} has no band called {band!r}; it has: {words}")
    if not 1 <= int(band) <= len(described):
        raise SampleError(f"{name} has no band {band}, only bands 1 to {len(described)}; it has: {words}")
    return int(band)


def own_name(number: int, described: Sequence[tuple[str | None, str]]) -> str | None:
    """The description of a band, else its colour, by which no other band of the file is called; `None` for none.

    Args:
        number: of the band, from 1.
        described: description (or None) and colour of each band of the file.
    """
    for names in zip(*described, strict=True):
        name = (names[number - 1] or "").lower()
        if name and name not in _SAY_NOTHING and [(other or "").lower() for other in names].count(name) == 1:
            return names[number - 1]
    return None


def own_mask(dataset: DatasetReader, bands: Sequence[int]) -> bool:
    """Whether a file says itself which pixels hold data: by a mask, or by transparency that is no chosen band."""
    flags = {flag.name for flag in dataset.mask_flag_enums[bands[0] - 1]}
    if "alpha" in flags:
        return not set(bands) - set(color_bands(dataset))
    return "per_dataset" in flags


def valid_pixels(values: np.ndarray, nodata: float | None, mask: np.ndarray | None = None) -> np.ndarray | None:
    """Where pixels hold data.

    A pixel holds none where all its bands are `nodata`, where one of them is not a finite number, and where the mask
    says so.

    Args:
        values: `(bands, height, width)`.
        nodata: the value, `None` for none. It is not looked at beside a mask.
        mask: bool `(height, width)`, true where there is data.

    Returns:
        bool `(height, width)`, or `None` where every pixel holds data.
    """
    valid = mask
    if mask is None and nodata is not None and not np.isnan(nodata):
        valid = (values != nodata).any(axis=0)
    if values.dtype.kind == "f":
        numbers = np.isfinite(values).all(axis=0)
        valid = numbers if valid is None else valid & numbers
    return None if valid is None or valid.all() else valid


def require_real(dataset: DatasetReader, bands: Sequence[int], name: str) -> None:
    """Raise a SampleError if the bands hold complex numbers."""
    kinds = {dataset.dtypes[band - 1] for band in bands}
    if any(kind.startswith("complex") for kind in kinds):
        raise SampleError(
            f"{name} holds complex numbers ({', '.join(sorted(kinds))}); expected real ones, such as the amplitude of "
            "a radar image"
        )


def encode_bands(pixels: np.ndarray, names: Sequence[str | None] = ()) -> bytes:
    """An array `(height, width)` or `(height, width, bands)` as a compressed GeoTIFF that keeps its values and, of a
    masked array, which pixels hold data. `names` describe the bands, where they are known."""
    import rasterio

    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    height, width, count = pixels.shape
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.MemoryFile() as memory:
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with memory.open(
            driver="GTiff",
            width=width,
            height=height,
            count=count,
            dtype=pixels.dtype,
            compress="deflate",
            photometric="minisblack",
            alpha="no",
        ) as dataset:
            dataset.write(np.ma.getdata(pixels).transpose(2, 0, 1))
            for band, name in enumerate(names, start=1):
                dataset.set_band_description(band, name or "")
            if np.ma.is_masked(pixels):
                dataset.write_mask(~np.ma.getmaskarray(pixels).all(axis=2))
        return memory.read()
