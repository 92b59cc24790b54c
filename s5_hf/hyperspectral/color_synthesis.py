"""A picture in red, green and blue from the bands of a cube."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["COLOR_SYNTHESES", "color_weights"]

RGB_WAVELENGTHS = (640.0, 550.0, 460.0)
"""Nanometres that stand for red, green and blue in the linear synthesis."""

COLOR_SYNTHESES = ("linear", "cie")

# Colour matching functions of the CIE 1931 observer as sums of Gaussians with two widths each: amplitude, centre (nm),
# and inverse widths below and above it (Wyman, Sloan and Shirley, JCGT 2 (2), 2013, table 1 and listing 1).
_LOBES = (
    ((0.362, 442.0, 0.0624, 0.0374), (1.056, 599.8, 0.0264, 0.0323), (-0.065, 501.1, 0.0490, 0.0382)),
    ((0.821, 568.8, 0.0213, 0.0247), (0.286, 530.9, 0.0613, 0.0322)),
    ((1.217, 437.0, 0.0845, 0.0278), (0.681, 459.0, 0.0385, 0.0725)),
)
# From XYZ to linear RGB of sRGB (IEC 61966-2-1).
_TO_RGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])


def color_weights(wavelengths: Sequence[float], synthesis: str) -> np.ndarray:
    """How much each band counts in red, green and blue.

    Args:
        wavelengths: centres of the bands in nanometres, in any order.
        synthesis: `linear` interpolates between the centres at 640, 550 and 460 nm; `cie` weights the visible bands as
            the eye does, for a picture in natural colours.

    Returns:
        float64 `(3, bands)`; a picture is this matrix times the bands of a pixel. The rows of `cie` add up to 1,
        so that a spectrum of equal values is grey.

    Raises:
        ValueError: another synthesis, or bands that do not cover the wavelengths.
    """
    centres = np.asarray(wavelengths, dtype=float)
    if synthesis == "linear":
        return np.stack([_interpolation(centres, wanted) for wanted in RGB_WAVELENGTHS])
    if synthesis == "cie":
        return _matching(centres)
    raise ValueError(f"unknown colour synthesis {synthesis!r}; expected one of {', '.join(COLOR_SYNTHESES)}")


def _interpolation(centres: np.ndarray, wanted: float) -> np.ndarray:
    order = np.argsort(centres)
    rising = centres[order]
    if not rising[0] <= wanted <= rising[-1]:
        raise ValueError(
            f"the bands lie between {rising[0]:g} and {rising[-1]:g} nm and do not cover {wanted:g} nm: name the "
            "bands for red, green and blue"
        )
    above = int(np.clip(np.searchsorted(rising, wanted), 1, len(rising) - 1)) if len(rising) > 1 else 0
    weights = np.zeros(len(centres))
    if len(rising) == 1:
        weights[0] = 1.0
        return weights
    gap = rising[above] - rising[above - 1]
    share = (wanted - rising[above - 1]) / gap if gap else 1.0
    weights[order[above - 1]], weights[order[above]] = 1 - share, share
    return weights


def _matching(centres: np.ndarray) -> np.ndarray:
    order = np.argsort(centres)
    # Bands that lie far apart stand for more of the spectrum.
    widths = np.empty(len(centres))
    widths[order] = np.gradient(centres[order]) if len(centres) > 1 else 1.0
    observer = np.stack([_lobes(centres, lobes) for lobes in _LOBES]) * widths
    if (observer.sum(axis=1) <= 0).any() or not ((centres >= 400) & (centres <= 700)).any():
        raise ValueError(
            f"no band lies in visible light (400 to 700 nm; these: {centres.min():g} to {centres.max():g} nm): name "
            "the bands for red, green and blue"
        )
    weights = _TO_RGB @ (observer / observer.sum(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _lobes(centres: np.ndarray, lobes: Sequence[tuple[float, float, float, float]]) -> np.ndarray:
    total = np.zeros(len(centres))
    for amplitude, centre, below, above in lobes:
        scaled = (centres - centre) * np.where(centres < centre, below, above)
        total += amplitude * np.exp(-0.5 * scaled**2)
    return total
