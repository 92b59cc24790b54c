"""Decoded pictures: how large they may be, and their pixels as 8-bit arrays."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from ..modeling.value_scaling import ValueScaling

__all__ = ["MAXIMUM_PIXELS", "has_8_bits", "image_kind", "image_pixels", "missing_pixels", "require_decodable"]

MAXIMUM_PIXELS = 1_000_000_000
"""The limit in pixels by default: 4 GB as RGB in memory. The largest images of DOTA-v2.0 have 840 million."""


def has_8_bits(image: Image.Image) -> bool:
    """Whether a Pillow image has at most 8 bits per channel; the others have to be scaled first."""
    return not image.mode.startswith(("I", "F"))


def image_pixels(image: Image.Image | np.ndarray, scaling: "ValueScaling | None" = None) -> np.ndarray:
    """An image as uint8 `(height, width, channels)`; palettes are resolved to RGB.

    Args:
        image: Pillow image or array.
        scaling: of its values; `None` for images of 8 bits as they are.

    Raises:
        ValueError: if it is not 8 bits per channel and there is no scaling, or has other channels than the scaling;
            names its file, if it has one.
    """
    file = getattr(image, "filename", "")
    if isinstance(image, Image.Image) and image.mode in ("P", "1"):
        image = image.convert("RGB")
    if scaling is not None:
        values = np.asarray(image) if isinstance(image, Image.Image) else image
        return scaling.to_bytes(values[:, :, None] if values.ndim == 2 else values, file or "the image")
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ValueError(
            f"{file}{': ' if file else ''}expected an image of 8 bits per channel (height, width, channels), "
            f"got {pixels.dtype} {pixels.shape}"
        )
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def image_kind(image: Image.Image | np.ndarray) -> tuple[int, str]:
    """Number of channels of an image, palettes resolved to RGB, and type of its values; pixels are not touched."""
    if not isinstance(image, Image.Image):
        return (1 if image.ndim == 2 else image.shape[2]), str(image.dtype)
    if image.mode in ("P", "1"):
        return 3, "uint8"
    deep = {"F": "float32", "I": "int32"} if image.mode in ("F", "I") else {image.mode: "uint16"}
    return len(image.getbands()), "uint8" if has_8_bits(image) else deep[image.mode]


def missing_pixels(image: Image.Image | np.ndarray) -> np.ndarray | None:
    """Where an array holds no data, bool `(height, width)`: it is masked, or not finite. `None` for nowhere."""
    if isinstance(image, Image.Image):
        return None
    missing = np.ma.getmaskarray(image)
    if np.ma.getdata(image).dtype.kind == "f":
        missing = missing | ~np.isfinite(np.ma.getdata(image))
    missing = missing.any(axis=2) if missing.ndim == 3 else missing
    return missing if missing.any() else None


def require_decodable(image: Image.Image, path: str | Path, maximum_pixels: int) -> None:
    """Raise a ValueError for a picture of more pixels, before it is decoded: a small file can claim terabytes."""
    pixels = image.width * image.height
    if pixels > maximum_pixels:
        raise ValueError(
            f"{path} has {image.width:,} x {image.height:,} = {pixels:,} pixels, more than {maximum_pixels:,}; if you "
            f"trust the file and have the memory, raise the limit with maximum_pixels={pixels} or "
            f"--maximum-pixels {pixels}"
        )
