import io

import numpy as np
from PIL import Image


def encoded(array, image_format="PNG"):
    """An array as the bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(array)).save(buffer, image_format)
    return buffer.getvalue()


def numbered(number):
    """A 4 x 4 RGB PNG whose first pixel's red value is `number`."""
    array = np.zeros((4, 4, 3), dtype=np.uint8)
    array[0, 0, 0] = number
    return encoded(array)
