"""Made-up hyperspectral cubes: regions with planted spectra, shade and noise, and labels that are partly wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

__all__ = ["SyntheticCube", "synthetic_cube"]

WAVELENGTHS = (400.0, 1000.0)
REGION_SIZE = 5.0  # deviation in pixels of the blur that makes regions
SHADE = (0.8, 1.2)
NOISE = 0.02


@dataclass(frozen=True)
class SyntheticCube:
    """A cube whose classes are known.

    Attributes:
        values: float32 `(side, side, bands)`, about 0.1 to 0.6.
        wavelengths: of the bands in nanometres.
        truth: int64 `(side, side)`.
        first_labels: uint8 `(side, side)`, the truth with random errors.
    """

    values: np.ndarray
    wavelengths: np.ndarray
    truth: np.ndarray
    first_labels: np.ndarray


def synthetic_cube(
    seed: int, side: int = 64, bands: int = 30, num_labels: int = 5, wrong: float = 0.3, patch_size: float = 0.0
) -> SyntheticCube:
    """A made-up cube.

    Args:
        seed: of everything.
        side: in pixels.
        bands: evenly from 400 to 1000 nm.
        num_labels: classes; each has a smooth spectrum of its own.
        wrong: share of the first labels that are another class than the truth.
        patch_size: deviation in pixels of the blur that makes patches of the errors, as a segmenter makes them; 0 for
            errors that fall on single pixels.
    """
    generator = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(generator.normal(size=(side, side)), REGION_SIZE) for _ in range(num_labels)]
    truth = np.stack(fields).argmax(axis=0)
    spectra = np.stack([_spectrum(bands, generator) for _ in range(num_labels)])
    shade = generator.uniform(*SHADE, (side, side, 1))
    values = spectra[truth] * shade + generator.normal(0, NOISE, (side, side, bands))
    draws = generator.normal(size=(num_labels, side, side))
    if patch_size:
        draws = ndimage.gaussian_filter(draws, (0, patch_size, patch_size))
    errors = draws[0] < np.quantile(draws[0], wrong)
    others = draws[1:].argmax(axis=0) + 1
    first_labels = np.where(errors, (truth + others) % num_labels, truth)
    return SyntheticCube(
        values.astype(np.float32), np.linspace(*WAVELENGTHS, bands), truth, first_labels.astype(np.uint8)
    )


def _spectrum(bands: int, generator: np.random.Generator) -> np.ndarray:
    place = np.linspace(0, 1, bands)
    waves, phase, slope = generator.uniform(0.5, 2), generator.uniform(), generator.uniform(-1, 1)
    return 0.3 + 0.1 * np.sin(2 * np.pi * (place * waves + phase)) + 0.1 * place * slope
