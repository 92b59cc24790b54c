"""What a picture itself tells, without a network: contrast, coherence and a perceptual hash.

A segmenter can be sure about nothing at all: a blank patch has low entropy, and on pure noise a small network may
be confident too. These measures let `select` leave such patches out (an addition to the paper's method).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

__all__ = ["PatchContent", "coherence", "measure_content", "perceptual_hash"]

_HASH_SIDE, _HASH_BITS = 32, 64
_SCALES = (1, 2, 4, 8)
_SMALLEST_SIDE = 32


@dataclass(frozen=True)
class PatchContent:
    """Measures of one patch.

    Attributes:
        contrast: standard deviation of the grey levels, 0 (blank) to 127.5.
        coherence: see `coherence`; about 0 for noise, rarely below 0.4 for aerial photographs.
        hash: 64 bits, see `perceptual_hash`.
    """

    contrast: float
    coherence: float
    hash: int


def measure_content(pixels: np.ndarray) -> PatchContent:
    """Measure a patch, uint8 `(height, width, channels)`; the grey of channels other than RGB is their mean."""
    if pixels.shape[2] == 3:
        grey = Image.fromarray(pixels).convert("L")
    else:
        grey = Image.fromarray(pixels.mean(axis=2).round().astype(np.uint8))
    return PatchContent(float(np.asarray(grey).std(dtype=np.float64)), coherence(grey), perceptual_hash(grey))


def coherence(image: Image.Image) -> float:
    """The smallest correlation of neighbouring grey pixels over four scales, -1 to 1; 1 if the picture is blank.

    The picture is averaged over blocks of 1, 2, 4 and 8 pixels, as long as 32 remain along each side. Photographs have
    structure at every scale; noise lacks it at one of them at least, even where its grains are several pixels wide.
    """
    grey = image.convert("L")
    factors = [factor for factor in _SCALES if factor == 1 or min(grey.size) // factor >= _SMALLEST_SIDE]
    return min(_neighbour_correlation(np.asarray(grey.reduce(factor), dtype=np.float32)) for factor in factors)


def perceptual_hash(image: Image.Image) -> int:
    """64 bits that hardly change when a picture is compressed again or resized.

    The grey picture is averaged down to 32 x 32 pixels; the bits tell which of the 64 lowest frequencies of its cosine
    transform, without the mean, lie above their median. Half of the bits are set, so two hashes differ in an even
    number of bits.
    """
    small = np.asarray(image.convert("L").resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.BOX), dtype=np.float64)
    basis, rows, columns = _cosine_basis()
    # Rounded, so that a blank picture gives no bits instead of those of rounding errors.
    frequencies = np.round(basis @ small @ basis.T, 6)[rows, columns]
    return int.from_bytes(np.packbits(frequencies > np.median(frequencies)).tobytes(), "big")


def _neighbour_correlation(levels: np.ndarray) -> float:
    """Correlation of each pixel with those right of it and below."""
    centred = levels - levels.mean(dtype=np.float64).astype(np.float32)
    power = float(np.square(centred).mean(dtype=np.float64))
    if power == 0.0 or min(levels.shape) < 2:
        return 1.0
    right = float((centred[:, 1:] * centred[:, :-1]).mean(dtype=np.float64))
    below = float((centred[1:] * centred[:-1]).mean(dtype=np.float64))
    return (right + below) / (2 * power)


@cache
def _cosine_basis() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the discrete cosine transform (type II), and the places of the lowest frequencies except the mean."""
    place, frequency = np.arange(_HASH_SIDE) + 0.5, np.arange(_HASH_SIDE)[:, None]
    basis = np.cos(np.pi * frequency * place / _HASH_SIDE) * np.sqrt(2 / _HASH_SIDE)
    rows, columns = np.divmod(np.arange(_HASH_SIDE**2), _HASH_SIDE)
    lowest = np.lexsort((columns, rows**2 + columns**2))[1 : _HASH_BITS + 1]
    return basis, rows[lowest], columns[lowest]
