"""Images of any number of bands and any depth as pictures for people."""

import numpy as np
from PIL import Image

__all__ = ["display_picture"]

_PERCENTILES = (2.0, 98.0)


def display_picture(image: Image.Image | np.ndarray) -> Image.Image:
    """An image as RGB: Pillow's as they are; of an array the first three bands (or the first, in grey), stretched from
    their own 2nd to their 98th percentile, black where there is no data.

    Args:
        image: Pillow image of 8 bits, or array `(height, width, bands)` of real numbers, perhaps masked.
    """
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    shown = image[:, :, :3] if image.shape[2] >= 3 else image[:, :, :1].repeat(3, axis=2)
    if shown.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(np.ma.filled(shown, 0)))
    values = np.ma.masked_invalid(shown).transpose(2, 0, 1)
    from ..modeling.value_scaling import ByteScaling

    scaling = ByteScaling.of_sample(values.reshape(3, -1), _PERCENTILES, np.float64)
    pixels = scaling.to_bytes(np.ma.getdata(values)).transpose(1, 2, 0)
    missing = np.ma.getmaskarray(values).any(axis=0)
    return Image.fromarray(np.ascontiguousarray(np.where(missing[:, :, None], np.uint8(0), pixels)))
