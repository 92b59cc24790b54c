"""Quotas of the clusters: how many patches each may contribute (S5: `Bu_m = Bu * Nl_m / Bl`)."""

from collections.abc import Sequence

import numpy as np

__all__ = ["hand_on_unfilled", "largest_remainder"]


def largest_remainder(target: int, weights: Sequence[int]) -> np.ndarray:
    """Share `target` out in proportion to `weights`, in whole numbers that sum to it exactly.

    Everyone gets the whole part of the share; what is left goes one by one to the largest remainders, among equal
    ones to the lowest index.

    Args:
        target: how many there are to share, at least 0.
        weights: not negative, at least one positive.

    Returns:
        int64, one number per weight.

    Raises:
        ValueError: if the target or a weight is negative, or no weight is positive.
    """
    weights = [int(weight) for weight in weights]  # Python integers: products of large numbers stay exact
    total = sum(weights)
    if target < 0:
        raise ValueError(f"the target must not be negative, got {target}")
    if min(weights, default=0) < 0 or total == 0:
        raise ValueError(f"weights must not be negative and at least one must be positive, got {weights}")
    shares = [target * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: (-(target * weights[index] % total), index))
    for index in by_remainder[: target - sum(shares)]:
        shares[index] += 1
    return np.array(shares, dtype=np.int64)


def hand_on_unfilled(quotas: Sequence[int], available: Sequence[int], weights: Sequence[int]) -> np.ndarray:
    """Pass what clusters cannot fill to those that can, in proportion to their weights, until all is placed.

    Args:
        quotas, available, weights: per cluster its quota, its candidates and its labelled images.

    Returns:
        int64, quotas of which none exceeds its cluster's candidates. They sum to the old sum, or to the number of
        candidates if that is smaller.
    """
    available = np.asarray(available, dtype=np.int64)
    weights = np.asarray(weights, dtype=np.int64)
    wanted = int(np.sum(quotas))
    filled = np.minimum(np.asarray(quotas, dtype=np.int64), available)
    while (rest := wanted - int(filled.sum())) > 0:
        spare = available > filled
        if not spare.any():
            break
        share = weights[spare] if weights[spare].any() else np.ones(int(spare.sum()), dtype=np.int64)
        filled[spare] = np.minimum(filled[spare] + largest_remainder(rest, share), available[spare])
    return filled
