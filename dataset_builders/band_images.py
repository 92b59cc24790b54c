"""Images as datasets hand them out: Pillow's of 8 bits as they are, all others as arrays that keep their values."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from datasets import Image
from datasets.features.features import register_feature
from PIL import Image as PillowImage

from .band_files import (
    Band,
    band_numbers,
    color_bands,
    describe_bands,
    encode_bands,
    open_bands,
    own_mask,
    own_name,
    require_real,
    valid_pixels,
)
from .errors import CorruptImageError, SampleError
from .images import DECODING_ERRORS, ImageHeader, decode, is_tiff, pillow_knows, pillow_reads, read_header

_GDAL_NODATA = 42113  # a tag of TIFF


@dataclass(frozen=True)
class BandReading:
    """How the images of a dataset are read.

    Attributes:
        bands: which bands, by number from 1 or by name, in which order; `None` for all that do not mark transparency.
        nodata: pixels with this value in all bands hold no data; by default what each file says.
    """

    bands: tuple[Band, ...] | None = None
    nodata: float | None = None

    @property
    def column(self) -> BandImage:
        """The column of images that are read so."""
        return BandImage(bands=None if self.bands is None else list(self.bands), nodata=self.nodata)

    def leaves_to_pillow(self, image: bytes | str, name: str) -> bool:
        """Whether an image is one of 8 bits that Pillow reads truly, and no bands are chosen; what is no image at all
        is left to Pillow too, which says so.

        Raises:
            CorruptImageError: if the beginning of the image is damaged.
        """
        if self.bands is not None:
            return False
        try:
            return pillow_reads(image) or not (is_tiff(image) or pillow_knows(image))
        except FileNotFoundError:
            raise
        except DECODING_ERRORS as error:
            raise CorruptImageError(f"{name}: {error}") from error

    def header(self, image: bytes | str, name: str) -> ImageHeader:
        """Size and kind of an encoded image, given as bytes or as a local path; pixels are not decoded.

        The mode of an image that becomes an array says how many bands it gives and of which type.

        Raises:
            CorruptImageError: if it is not an image.
            SampleError: if a band is missing, or the values are not real numbers.
            ImportError: if rasterio is needed and not installed.
        """
        if self.leaves_to_pillow(image, name):
            return read_header(image, name)
        with open_bands(image, name) as dataset:
            bands = self._numbers(dataset, name)
            kinds = sorted({dataset.dtypes[band - 1] for band in bands})
            count = "1 band" if len(bands) == 1 else f"{len(bands)} bands"
            return ImageHeader((dataset.width, dataset.height), f"{count} of {' and '.join(kinds)}", dataset.driver)

    def read(self, image: bytes | str, name: str) -> PillowImage.Image | np.ndarray:
        """Decode an image.

        Returns:
            A Pillow image of 8 bits; or an array `(height, width, bands)` of the file's own type, which is a masked
            one where pixels hold no data.

        Raises:
            CorruptImageError, SampleError, ImportError: as `header`.
        """
        if self.leaves_to_pillow(image, name):
            return decode(image, name)
        values, valid = self._values(image, name)
        return np.ascontiguousarray(values.transpose(1, 2, 0)) if valid is None else _masked(values, valid)

    def names(self, image: bytes | str, name: str) -> list[str | None]:
        """What the bands that are read of a file for rasterio are called, `None` for those without a name."""
        with open_bands(image, name) as dataset:
            described = [
                (text, color.name) for text, color in zip(dataset.descriptions, dataset.colorinterp, strict=True)
            ]
            return [own_name(band, described) for band in self._numbers(dataset, name)]

    def valid(self, image: bytes | str, name: str) -> np.ndarray | None:
        """Where an image holds data, bool `(height, width)`; `None` where all pixels do.

        Pixels are decoded only where the file or the option says that some may hold none.
        """
        if not self.leaves_to_pillow(image, name):
            return self._values(image, name)[1]
        nodata = _pillow_nodata(image) if self.nodata is None else self.nodata
        if nodata is None:
            return None
        values = np.asarray(decode(image, name))
        return valid_pixels(np.atleast_3d(values).transpose(2, 0, 1), nodata)

    def _values(self, image: bytes | str, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Values `(bands, height, width)`, and where they are data."""
        with open_bands(image, name) as dataset:
            bands = self._numbers(dataset, name)
            mask = None
            if self.nodata is None and own_mask(dataset, bands):
                mask = dataset.read_masks(bands[0]) > 0
            nodata = dataset.nodatavals[bands[0] - 1] if self.nodata is None else self.nodata
            values = dataset.read(bands)
        return values, valid_pixels(values, nodata, mask)

    def _numbers(self, dataset: Any, name: str) -> list[int]:
        words = describe_bands(dataset)
        colors = [color.name for color in dataset.colorinterp]
        if colors == ["palette"]:
            raise SampleError(
                f"{name} holds numbers of a colour table, not colours; expand it first: gdal_translate -expand rgb"
            )
        described = list(zip(dataset.descriptions, colors, strict=True))
        bands = color_bands(dataset) if self.bands is None else band_numbers(self.bands, described, name, words)
        require_real(dataset, bands, name)
        return bands


def _masked(values: np.ndarray, valid: np.ndarray) -> np.ma.MaskedArray:
    """Values `(bands, height, width)` as a masked array `(height, width, bands)`."""
    pixels = np.ascontiguousarray(values.transpose(1, 2, 0))
    return np.ma.masked_array(pixels, np.repeat(~valid[:, :, None], len(values), axis=2))


def _pillow_nodata(image: bytes | str) -> float | None:
    """The value without data that a GeoTIFF names; other files that Pillow reads name none."""
    with PillowImage.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
        text = opened.tag_v2.get(_GDAL_NODATA) if opened.format == "TIFF" else None
    try:
        return None if text is None else float(str(text).strip("\0 "))
    except ValueError:
        return None


@dataclass
class BandImage(Image):
    """The column of images of any depth: `datasets.Image` for what Pillow reads truly, arrays for the rest.

    Attributes:
        bands, nodata: as [`BandReading`] has them.
    """

    bands: list | None = None
    nodata: float | None = None
    _type: str = field(default="BandImage", init=False, repr=False)

    @property
    def reading(self) -> BandReading:
        """How the images are read."""
        return BandReading(None if self.bands is None else tuple(self.bands), self.nodata)

    def encode_example(self, value: Any) -> dict:
        """A value as `{"bytes", "path"}`; arrays that are no 8-bit pictures become GeoTIFFs."""
        if isinstance(value, np.ndarray) and (
            value.dtype != np.uint8 or np.ma.is_masked(value) or (value.ndim == 3 and value.shape[2] != 3)
        ):
            return {"bytes": encode_bands(value), "path": None}
        return super().encode_example(value)

    def decode_example(self, value: Any, token_per_repo_id: Mapping | None = None) -> PillowImage.Image | np.ndarray:
        """A Pillow image, or an array `(height, width, bands)`, masked where pixels hold no data.

        Raises:
            CorruptImageError: if the image cannot be decoded.
            SampleError: if a band is missing.
        """
        if not isinstance(value, Mapping):
            return value
        content = value["path"] if value.get("bytes") is None else value["bytes"]
        name = value.get("path") or "an image"
        if self.reading.leaves_to_pillow(content, name):
            return super().decode_example(value, token_per_repo_id)
        return self.reading.read(content, name)


def decode_column(column: Image, value: Mapping[str, Any], name: str) -> PillowImage.Image | np.ndarray:
    """Decode what an image column holds (`{"bytes", "path"}`), as the column does, with named errors.

    Raises:
        CorruptImageError: if that fails.
        SampleError: if a band is missing.
    """
    if not isinstance(column, BandImage):
        return decode(value, name)
    return column.reading.read(value["path"] if value.get("bytes") is None else value["bytes"], name)


with warnings.catch_warnings():
    # Users can do nothing about datasets calling its own function experimental.
    warnings.simplefilter("ignore", UserWarning)
    register_feature(BandImage, "BandImage")
