"""Decoded pictures: how large they may be, and their pixels as 8-bit arrays."""

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["MAXIMUM_PIXELS", "has_8_bits", "image_pixels", "require_decodable"]

MAXIMUM_PIXELS = 1_000_000_000
"""The limit in pixels by default: 4 GB as RGB in memory. The largest images of DOTA-v2.0 have 840 million."""


def has_8_bits(image: Image.Image) -> bool:
    """Whether a Pillow image has at most 8 bits per channel; the others have to be scaled first."""
    return not image.mode.startswith(("I", "F"))


def image_pixels(image: Image.Image | np.ndarray) -> np.ndarray:
    """An image as uint8 `(height, width, channels)`; palettes are resolved to RGB.

    Raises:
        ValueError: if it is not 8 bits per channel; names its file, if it has one.
    """
    file = getattr(image, "filename", "")
    if isinstance(image, Image.Image) and image.mode in ("P", "1"):
        image = image.convert("RGB")
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ValueError(
            f"{file}{': ' if file else ''}expected an image of 8 bits per channel (height, width, channels), "
            f"got {pixels.dtype} {pixels.shape}"
        )
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def require_decodable(image: Image.Image, path: str | Path, maximum_pixels: int) -> None:
    """Raise a ValueError for a picture of more pixels, before it is decoded: a small file can claim terabytes."""
    pixels = image.width * image.height
    if pixels > maximum_pixels:
        raise ValueError(
            f"{path} has {image.width:,} x {image.height:,} = {pixels:,} pixels, more than {maximum_pixels:,}; if you "
            f"trust the file and have the memory, raise the limit with maximum_pixels={pixels} or "
            f"--maximum-pixels {pixels}"
        )
