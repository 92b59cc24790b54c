"""Which labels of a half-trained network are to be trusted, and softer ones for the rest.

Source: SPECIAL (arXiv 2501.16222, section III-B), with the numerics of its official code.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from .first_labels import confidence

__all__ = ["RefinedLabels", "principal_components", "refine_labels"]

CONFIDENCE_COMPONENTS, SPECTRAL_COMPONENTS = 3, 5
COMPONENTS_OF_CUBE = 5
CONFIDENT_SHARE = 5
"""One in so many pixels of the most confident component becomes a confident label."""

MOST_FITTED = 100_000
"""Pixels of a class that a mixture is fitted to at most, drawn at random."""


@dataclass(frozen=True)
class RefinedLabels:
    """Two sets of pixels with soft labels.

    Attributes:
        hard, confident: bool `(height, width)`: hard to tell, and trusted.
        targets: float32 `(classes, height, width)`, probabilities at the pixels of both sets, 0 elsewhere.
    """

    hard: np.ndarray
    confident: np.ndarray
    targets: np.ndarray


def principal_components(pixels: np.ndarray) -> PCA:
    """The first five principal components of spectra `(pixels, bands)`, or as many as there are bands."""
    return PCA(min(COMPONENTS_OF_CUBE, *pixels.shape), random_state=0).fit(pixels)


def refine_labels(
    probabilities: np.ndarray, components: np.ndarray, valid: np.ndarray, generator: np.random.Generator
) -> RefinedLabels:
    """Divide the pixels by how sure the network is of them, and let the spectra of the surest speak for the others.

    Of each predicted class the confidences are split into three groups: the least sure one is hard, a random fifth of
    the surest one is confident. A mixture of normal distributions of the spectra of a class's confident pixels gives
    the likelihood of the class for every pixel of both sets.

    Args:
        probabilities: `(classes, height, width)`, what the network says.
        components: `(height, width, 5)`, of `principal_components`.
        valid: bool `(height, width)`; other pixels are in neither set.
        generator: of random numbers.
    """
    # The official code looks only where the ground truth has labels; here the ground truth plays no part.
    predicted, sureness = probabilities.argmax(axis=0), confidence(probabilities)
    hard, confident = np.zeros(valid.shape, dtype=bool), np.zeros(valid.shape, dtype=bool)
    mixtures: list[GaussianMixture | None] = []
    for class_id in range(len(probabilities)):
        places = np.flatnonzero((predicted == class_id) & valid)
        least, most = split_by_confidence(sureness.reshape(-1)[places], generator)
        chosen = generator.choice(places[most], len(places[most]) // CONFIDENT_SHARE, replace=False)
        hard.reshape(-1)[places[least]] = True
        confident.reshape(-1)[chosen] = True
        mixtures.append(fit_spectra(components.reshape(-1, components.shape[-1])[chosen], generator))
    if all(mixture is None for mixture in mixtures):
        return RefinedLabels(np.zeros_like(hard), confident, one_hot(predicted, confident, len(probabilities)))
    marked = hard | confident
    targets = np.zeros(probabilities.shape, dtype=np.float32)
    targets[:, marked] = class_likelihoods(components[marked], mixtures).T
    return RefinedLabels(hard, confident, targets)


def split_by_confidence(sureness: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which of these confidences are in the lowest, and which in the highest of three groups, bool `(pixels,)`."""
    if len(np.unique(sureness)) < CONFIDENCE_COMPONENTS:  # too few to tell groups apart
        return np.zeros(len(sureness), dtype=bool), np.ones(len(sureness), dtype=bool)
    mixture = fit_mixture(sureness[:, None], CONFIDENCE_COMPONENTS, generator)
    component = mixture.predict(sureness[:, None])
    means = mixture.means_[:, 0]
    return component == means.argmin(), component == means.argmax()


def fit_spectra(pixels: np.ndarray, generator: np.random.Generator) -> GaussianMixture | None:
    """The mixture of the spectra of a class; None with fewer than five pixels, where the official code breaks off."""
    if len(pixels) < SPECTRAL_COMPONENTS:
        return None
    return fit_mixture(pixels, SPECTRAL_COMPONENTS, generator)


def fit_mixture(values: np.ndarray, components: int, generator: np.random.Generator) -> GaussianMixture:
    """A mixture of normal distributions of `(pixels, features)`."""
    if len(values) > MOST_FITTED:
        values = values[generator.choice(len(values), MOST_FITTED, replace=False)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the official code goes on with what 100 rounds gave
        return GaussianMixture(components, random_state=0).fit(values)


def class_likelihoods(pixels: np.ndarray, mixtures: Sequence[GaussianMixture | None]) -> np.ndarray:
    """How likely each class makes each pixel, normalised, `(pixels, classes)`; a class without mixture has 0."""
    # As logarithms: the official code divides likelihoods, which are all 0 for a pixel far from every class.
    logarithms = np.stack(
        [np.full(len(pixels), -np.inf) if mixture is None else mixture.score_samples(pixels) for mixture in mixtures],
        axis=1,
    )
    return softmax(logarithms, axis=1)


def one_hot(classes: np.ndarray, where: np.ndarray, num_labels: int) -> np.ndarray:
    """float32 `(classes, height, width)` with 1 at the class of the chosen pixels."""
    return ((np.arange(num_labels)[:, None, None] == classes) & where).astype(np.float32)
