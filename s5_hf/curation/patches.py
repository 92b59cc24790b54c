"""Patches of images: decoding, cutting and measuring raw samples, and reading the pixels of scored patches again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..dataset_builders.band_files import encode_bands
from ..dataset_builders.band_images import BandReading
from ..dataset_builders.errors import CorruptImageError
from ..dataset_builders.images import decode
from ..hub.normalization import InputSettings
from ..imaging.decoded_pixels import has_8_bits
from ..imaging.display import display_picture
from ..imaging.windows import Window, row_windows
from ..predictors.normalization import input_pixels
from .content import PatchContent, measure_content

if TYPE_CHECKING:
    from ..dataset_builders.shards import Sample
    from .sources import ImageList

__all__ = ["EDGES", "Patch", "PatchReader", "cut_patches", "decode_image", "patch_windows"]


@dataclass(frozen=True)
class Patch:
    """A piece of an image.

    Attributes:
        id: the image's id; `@left,top` is added where the image was cut.
        source: of the image.
        image: number of the image in its list.
        window: pixels of the image; the right and bottom are exclusive.
        pixels: uint8 `(height, width, channels)`.
        content: measures of the pixels.
        label_counts: labelled pixels by class id 0..255 where the image has a mask, else `None`.
    """

    id: str
    source: str
    image: int
    window: Window
    pixels: np.ndarray
    content: PatchContent
    label_counts: np.ndarray | None


EDGES = ("shift", "drop")


def patch_windows(width: int, height: int, size: int | None, stride: int | None, edges: str = "shift") -> list[Window]:
    """Windows over an image, row after row.

    An image is taken as a whole where `size` is `None`, and along each side that is not longer than `size`.

    Args:
        width, height: of the image in pixels.
        size: side of a patch.
        stride: pixels between patches, `None` for `size`.
        edges: what is done where windows do not end at the border: `"shift"` moves the last one inwards, so that
            every pixel is seen but patches may overlap by much; `"drop"` leaves the rest of the image out.

    Raises:
        ValueError: if size or stride are out of range, or edges is unknown.
    """
    if edges not in EDGES:
        raise ValueError(f"edges must be one of {', '.join(EDGES)}, got {edges!r}")
    if size is None:
        return [Window(0, 0, width, height)]
    stride = size if stride is None else stride
    windows = [
        Window(window.left, window.top, min(window.right, width), min(window.bottom, height))
        for window in row_windows(width, height, size, stride)
    ]
    if edges == "drop":
        return [window for window in windows if window.left % stride == 0 and window.top % stride == 0]
    return windows


def cut_patches(
    sample: Sample,
    image: int,
    size: int | None,
    stride: int | None,
    edges: str = "shift",
    network: InputSettings | None = None,
) -> Iterator[Patch]:
    """The patches of a raw sample.

    Args:
        sample: with `image`, `id`, `source` and perhaps `mask`.
        image: number of the image in its list.
        size, stride, edges: as `patch_windows` takes them.
        network: what the network expects of its images; RGB of 8 bits by default.

    Raises:
        CorruptImageError: if the image or the mask does not decode, or does not have 8 bits per channel.
        ValueError: if the image has other channels or values than a network of other bands takes.
    """
    pixels = network_pixels(sample["image"], sample["id"], network or InputSettings())
    mask = sample.get("mask")
    if mask is not None:
        mask = np.asarray(mask if isinstance(mask, Image.Image) else decode(mask, f"mask of {sample['id']}"))
    height, width = pixels.shape[:2]
    for window in patch_windows(width, height, size, stride, edges):
        rows, columns = slice(window.top, window.bottom), slice(window.left, window.right)
        patch = pixels[rows, columns]  # a view: copied once, into a batch
        whole = (window.width, window.height) == (width, height)
        counts = None if mask is None else np.bincount(mask[rows, columns].reshape(-1), minlength=256)[:256]
        yield Patch(
            id=sample["id"] if whole else f"{sample['id']}@{window.left},{window.top}",
            source=sample["source"],
            image=image,
            window=window,
            pixels=patch,
            content=measure_content(patch),
            label_counts=counts,
        )


def network_pixels(image: dict | Image.Image, name: str, network: InputSettings) -> np.ndarray:
    """An encoded image (`{"bytes", "path"}`) as a network takes it, uint8 `(height, width, channels)`.

    Raises:
        CorruptImageError, ValueError: as `cut_patches`.
    """
    plain = network.bands is None and network.value_scaling is None and len(network.image_mean) == 3
    if plain or isinstance(image, Image.Image):
        return np.asarray(decode_image(image, name))
    return input_pixels(BandReading(network.bands).read(_content(image), name), network, f"the image {name!r}")


def decode_image(image: dict | Image.Image, name: str) -> Image.Image:
    """An encoded image (`{"bytes", "path"}`) as RGB.

    Raises:
        CorruptImageError: if it does not decode, or does not have 8 bits per channel.
    """
    decoded = image if isinstance(image, Image.Image) else decode(image, name)
    if not has_8_bits(decoded):
        raise CorruptImageError(
            f"{name}: the image has the mode {decoded.mode!r}, expected 8 bits per channel; s5-hf prepare converts it"
        )
    return decoded.convert("RGB")


class PatchReader:
    """Reads patches by the number of their image and their window; asked in ascending order, it decodes each once.

    Images that are no RGB of 8 bits are shown stretched, and cut from their own values.
    """

    def __init__(self, images: ImageList) -> None:
        self._images = images
        self._number = -1
        self._sample: dict = {}
        self._decoded: Image.Image | None = None
        self._values: np.ndarray | None = None
        self._names: list[str | None] = []

    def patch(self, row: Mapping[str, object]) -> Image.Image:
        """The patch of a row of scores (`image`, `left`, `top`, `width`, `height`) as RGB.

        Raises:
            ValueError: if the image is no longer as large as it was when it was scored.
        """
        image, window = self._image(row), _window(row)
        return image if (window.width, window.height) == image.size else image.crop(window)

    def encoded(self, row: Mapping[str, object]) -> dict | None:
        """The image's own `{"bytes", "path"}` where the patch is the whole image, a GeoTIFF of its values where it is
        cut from an image of other bands or depth, else `None`."""
        image, window = self._image(row), _window(row)
        if (window.width, window.height) == image.size:
            return self._sample["image"]
        if self._values is None:
            return None
        patch = self._values[window.top : window.bottom, window.left : window.right]
        return {"bytes": encode_bands(patch, self._names), "path": f"{PurePosixPath(str(row['id'])).name}.tif"}

    def _image(self, row: Mapping[str, object]) -> Image.Image:
        number, window = row["image"], _window(row)
        if number != self._number or self._decoded is None:
            self._sample = self._images[number]
            self._decode()
            self._number = number
        if window.right > self._decoded.width or window.bottom > self._decoded.height:
            raise ValueError(
                f"{row['id']} was scored at {window}, but the image has {self._decoded.width} x "
                f"{self._decoded.height} pixels now: the sources have changed since, score them again"
            )
        return self._decoded

    def _decode(self) -> None:
        image, name = self._sample["image"], self._sample["id"]
        self._values = None
        if isinstance(image, Image.Image) or BandReading().leaves_to_pillow(_content(image), name):
            self._decoded = decode_image(image, name)
            return
        self._values = BandReading().read(_content(image), name)
        self._names = BandReading().names(_content(image), name)
        self._decoded = display_picture(self._values)


def _content(image: Mapping[str, object]) -> bytes | str:
    """The bytes of an encoded image, or its path."""
    return image["path"] if image.get("bytes") is None else image["bytes"]


def _window(row: Mapping[str, object]) -> Window:
    return Window(row["left"], row["top"], row["left"] + row["width"], row["top"] + row["height"])
