"""How large a picture may be that is decoded as a whole: a file of kilobytes can claim to hold terabytes."""

from pathlib import Path

from PIL import Image

__all__ = ["MAXIMUM_PIXELS", "require_decodable"]

MAXIMUM_PIXELS = 1_000_000_000
"""Pixels, if nothing else is asked for: 4 GB as RGB in memory. The largest images of DOTA-v2.0 have 840 million."""


def require_decodable(image: Image.Image, path: str | Path, maximum_pixels: int) -> None:
    """Raise a ValueError for a picture of more pixels, before it is decoded."""
    pixels = image.width * image.height
    if pixels > maximum_pixels:
        raise ValueError(
            f"{path} has {image.width:,} x {image.height:,} = {pixels:,} pixels, more than {maximum_pixels:,}; if you "
            f"trust the file and have the memory, raise the limit with maximum_pixels={pixels} or "
            f"--maximum-pixels {pixels}"
        )
