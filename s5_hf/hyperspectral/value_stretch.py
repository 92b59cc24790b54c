"""Values of a cube or picture brought to 0..1."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

__all__ = ["ValueStretch"]

MOST_VALUES = 20_000_000
"""Of larger arrays every n-th value is looked at."""


@dataclass(frozen=True)
class ValueStretch:
    """A linear stretch with clipping.

    Attributes:
        low, high: what becomes 0 and 1.
    """

    low: float
    high: float

    @classmethod
    def between_quantiles(cls, parts: Iterable[np.ndarray], share: float, total: int) -> ValueStretch:
        """The stretch that clips a share of the values at either end, all bands together (SPECIAL's official code).

        Args:
            parts: arrays of values that count.
            share: 0 to 0.5, exclusive.
            total: about how many values there are.

        Raises:
            ValueError: the share is out of range, there are no values, or they are all the same.
        """
        if not 0 <= share < 0.5:
            raise ValueError(f"the clipped share must be 0 or more and less than 0.5, got {share}")
        every = max(1, total // MOST_VALUES)
        values = np.concatenate([part.reshape(-1)[::every] for part in parts] or [np.zeros(0)])
        if not values.size:
            raise ValueError("there are no values to stretch: no pixel holds data")
        low, high = np.quantile(values, [share, 1 - share])
        if not low < high:
            raise ValueError(f"nothing can be told from values that are all {low:g}")
        return cls(float(low), float(high))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Values of any shape as float32 0..1."""
        return (np.clip((values - self.low) / (self.high - self.low), 0, 1)).astype(np.float32)
