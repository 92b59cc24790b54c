"""What a picture itself tells, without a network: contrast, coherence and a perceptual hash.

A segmenter can be sure about nothing at all: a blank patch has low entropy, and on pure noise a small network may
be confident too. These measures let `select` leave such patches out (an addition to the paper's method).
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

__all__ = ["PatchContent", "coherence", "measure_content", "perceptual_hash"]

_HASH_SIDE = 8


@dataclass(frozen=True)
class PatchContent:
    """Measures of one patch.

    Attributes:
        contrast: standard deviation of the grey levels, 0 (blank) to 127.5.
        coherence: see `coherence`, about 0 for white noise, above 0.8 for most aerial photographs.
        hash: 64 bits, see `perceptual_hash`.
    """

    contrast: float
    coherence: float
    hash: int


def measure_content(pixels: np.ndarray) -> PatchContent:
    """Measure a patch, uint8 `(height, width, 3)`."""
    grey = Image.fromarray(pixels).convert("L")
    levels = np.asarray(grey, dtype=np.float32)
    return PatchContent(float(levels.std(dtype=np.float64)), coherence(levels), perceptual_hash(grey))


def coherence(levels: np.ndarray) -> float:
    """Correlation of neighbouring pixels, right and below, of a float `(height, width)` picture; 1 if it is blank."""
    centred = levels - levels.mean(dtype=np.float64).astype(np.float32)
    power = float(np.square(centred).mean(dtype=np.float64))
    if power == 0.0 or min(levels.shape) < 2:
        return 1.0
    right = float((centred[:, 1:] * centred[:, :-1]).mean(dtype=np.float64))
    below = float((centred[1:] * centred[:-1]).mean(dtype=np.float64))
    return (right + below) / (2 * power)


def perceptual_hash(image: Image.Image) -> int:
    """64 bits that hardly change when a picture is compressed again or resized (the difference hash).

    The grey picture is averaged down to 9 x 8 pixels; each bit tells whether a pixel is brighter than its left
    neighbour. The first pair of the top row is the highest bit.
    """
    small = np.asarray(image.convert("L").resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX), dtype=np.int16)
    bits = (small[:, 1:] > small[:, :-1]).reshape(-1)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
