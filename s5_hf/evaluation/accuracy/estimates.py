"""Accuracy and area from a stratified random sample: Olofsson et al. (2014), the strata being the classes of the map.

P. Olofsson, G. M. Foody, M. Herold, S. V. Stehman, C. E. Woodcock, M. A. Wulder: Good practices for estimating area
and assessing accuracy of land change. Remote Sensing of Environment 148 (2014), 42-57. Equations are numbered as
there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["SampleEstimates", "cohens_kappa", "estimate_from_sample"]

CONFIDENCE = 1.96
"""Standard errors on either side of a value that make an interval of 95 %."""


@dataclass(frozen=True)
class SampleEstimates:
    """Estimates for a map of C classes; shares in 0..1, NaN where nothing can be said.

    Attributes:
        proportions: `(C, C)`, the estimated share of the ground in each cell, map classes in rows.
        overall, overall_error: overall accuracy and its standard error.
        users, users_error: user's accuracy of each class, `(C,)`.
        producers, producers_error: producer's accuracy of each class, `(C,)`.
        areas, areas_error: share of the ground that each class really has, `(C,)`.
    """

    proportions: np.ndarray
    overall: float
    overall_error: float
    users: np.ndarray
    users_error: np.ndarray
    producers: np.ndarray
    producers_error: np.ndarray
    areas: np.ndarray
    areas_error: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        """The harmonic mean of user's and producer's accuracy, `(C,)`."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 2 * self.users * self.producers / (self.users + self.producers)

    @property
    def kappa(self) -> float:
        """Cohen's kappa of the estimated proportions; the paper advises against it."""
        return cohens_kappa(self.proportions)


def estimate_from_sample(counts: np.ndarray, weights: np.ndarray) -> SampleEstimates:
    """Estimate accuracy and areas.

    Args:
        counts: `(C, C)` sampled points; rows are the classes of the map (the strata), columns those of the reference.
        weights: `(C,)` share, or any measure of size, of each class in the map.

    Raises:
        ValueError: a class has points but no place in the map, or there are no points at all.
    """
    counts = np.asarray(counts, dtype=np.float64)
    sizes = np.where(counts.sum(axis=1) > 0, np.asarray(weights, dtype=np.float64), 0.0)
    if not sizes.sum() > 0 or ((counts.sum(axis=1) > 0) & (np.asarray(weights) <= 0)).any():
        raise ValueError(
            "there are no sampled points in the classes of the map, or points in classes it does not have"
        )
    weights = sizes / sizes.sum()
    points = counts.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.where(points[:, None] > 0, counts / points[:, None], 0.0)
        spread = rates * (1 - rates) / (points[:, None] - 1)  # NaN or infinite for a stratum of a single point
        spread = np.where(points[:, None] > 1, spread, np.where(weights[:, None] > 0, np.nan, 0.0))
        proportions = weights[:, None] * rates  # (4)
        areas = proportions.sum(axis=0)  # (9)
        areas_error = np.sqrt((weights[:, None] ** 2 * spread).sum(axis=0))  # (10)
        hits = rates.diagonal()
        users = np.where(points > 0, hits, np.nan)  # (2)
        producers = np.where(areas > 0, proportions.diagonal() / areas, np.nan)  # (3)
        own = spread.diagonal()
        overall_error = np.sqrt((weights**2 * own).sum())  # (5)
        squares = weights[:, None] ** 2 * spread
        others = squares.sum(axis=0) - squares.diagonal()
        producers_error = np.sqrt(
            (weights**2 * (1 - producers) ** 2 * own + producers**2 * others) / areas**2
        )  # (7), with (8) in the denominator; the number of pixels cancels out
    return SampleEstimates(
        proportions=proportions,
        overall=float(proportions.trace()),  # (1)
        overall_error=float(overall_error),
        users=users,
        users_error=np.where(points > 0, np.sqrt(own), np.nan),  # (6)
        producers=producers,
        producers_error=producers_error,
        areas=areas,
        areas_error=areas_error,
    )


def cohens_kappa(matrix: np.ndarray) -> float:
    """Agreement beyond chance (Cohen 1960) of a confusion matrix of counts or shares; NaN if chance explains all."""
    shares = np.asarray(matrix, dtype=np.float64)
    shares = shares / shares.sum()
    chance = float(shares.sum(axis=0) @ shares.sum(axis=1))
    return float("nan") if chance == 1 else (float(shares.trace()) - chance) / (1 - chance)
