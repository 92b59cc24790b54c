"""Image files: their size, colour mode and completeness without decoding them, and decoding with named errors."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from .errors import CorruptImageError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
"""Extensions of the files that count as images, in lower case."""

_BITS_TAG, _SAMPLES_TAG = 258, 277  # of TIFF: bits per sample, samples per pixel
_TRAILER_BYTES = 4096
_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND"
_SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# What Pillow raises on broken files besides UnidentifiedImageError.
DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@dataclass(frozen=True)
class ImageHeader:
    """What the first bytes of an image tell: (width, height) in pixels, Pillow mode and format."""

    size: tuple[int, int]
    mode: str
    format: str


@contextmanager
def unlimited_pixels() -> Iterator[None]:
    """Lift Pillow's guard against very large images: tiles of 29,000 px a side are ordinary in DOTA-v2.0."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def pillow_reads(image: bytes | str | Path) -> bool:
    """Whether Pillow gives an image's true values: it cuts 16-bit colours to 8 bits and mistakes a fourth band."""
    try:
        with unlimited_pixels(), Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
            if opened.format == "TIFF":
                bits, samples = opened.tag_v2.get(_BITS_TAG, (1,)), opened.tag_v2.get(_SAMPLES_TAG, 1)
                return opened.mode in ("1", "L", "P", "RGB") and set(bits) <= {1, 8} and samples in (1, 3)
            if opened.format == "PNG":
                return _png_bits(image) <= 8
            return opened.mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
    except UnidentifiedImageError:
        return False


def pillow_knows(image: bytes | str) -> bool:
    """Whether Pillow takes a file for an image, of whatever kind."""
    try:
        with unlimited_pixels(), Image.open(io.BytesIO(image) if isinstance(image, bytes) else image):
            return True
    except UnidentifiedImageError:
        return False


def is_tiff(image: bytes | str) -> bool:
    """Whether an encoded image begins as TIFF files do, those of Pillow and those that it does not know."""
    if isinstance(image, bytes):
        return image.startswith(_TIFF_SIGNATURES)
    with Path(image).open("rb") as file:
        return file.read(4).startswith(_TIFF_SIGNATURES)


def _png_bits(image: bytes | str | Path) -> int:
    """Bits per channel, which the header of a PNG file holds in byte 24; Pillow does not tell them."""
    if isinstance(image, bytes):
        return image[24]
    with Path(image).open("rb") as file:
        return file.read(25)[24]


def is_image(name: str) -> bool:
    """Whether the file name has the extension of an image."""
    return name.lower().endswith(EXTENSIONS)


def read_header(image: bytes | str, name: str) -> ImageHeader:
    """Header of an encoded image, given as bytes or as a local path; a file cut short is noticed for JPEG and PNG.

    Raises:
        CorruptImageError: if it is not an image or is incomplete. Damage in the middle shows only in `decode`.
    """
    with io.BytesIO(image) if isinstance(image, bytes) else Path(image).open("rb") as file:
        try:
            with Image.open(file) as opened:
                header = ImageHeader(opened.size, opened.mode, opened.format or "")
            complete = _is_complete(_tail(file), header.format)
        except UnidentifiedImageError as error:
            raise CorruptImageError(f"{name}: not an image") from error
        except DECODING_ERRORS as error:
            raise CorruptImageError(f"{name}: {error}") from error
    if not complete:
        raise CorruptImageError(f"{name}: the {header.format} image is cut short")
    return header


def check_complete(image: bytes, name: str) -> None:
    """Notice bytes that are not an image or are cut short, at next to no cost for JPEG and PNG.

    Raises:
        CorruptImageError: as `read_header` does.
    """
    image_format = next((known for start, known in _SIGNATURES.items() if image.startswith(start)), None)
    if image_format is None:
        read_header(image, name)
    elif not _is_complete(image[-_TRAILER_BYTES:], image_format):
        raise CorruptImageError(f"{name}: the {image_format} image is cut short")


def decode(image: bytes | str | Mapping[str, Any], name: str) -> Image.Image:
    """Decode an image in full, given as bytes, as a local path, or as an Image column holds it (`{"bytes", "path"}`).

    Raises:
        CorruptImageError: if that fails; its cause is what Pillow says.
    """
    if isinstance(image, Mapping):
        image = image["path"] if image.get("bytes") is None else image["bytes"]
    try:
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
            opened.load()
            return opened
    except DECODING_ERRORS as error:
        raise CorruptImageError(f"{name}: {error}") from error


def _is_complete(tail: bytes, image_format: str) -> bool:
    end_marker = {"JPEG": _JPEG_END, "PNG": _PNG_END}.get(image_format)
    return end_marker is None or end_marker in tail


def _tail(file: BinaryIO) -> bytes:
    """The last bytes of a file."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _TRAILER_BYTES))
    return file.read()
