"""The walk: candidates in entropy order, each cluster up to its quota (S5: `Bu_m = Bu * Nl_m / Bl`).

It takes a few passes over arrays. Nothing here depends on the order in which candidates come: equal entropies are told
apart by id.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["hand_on_unfilled", "largest_remainder", "random_order", "take_by_quota", "walk_order"]


def walk_order(scores: np.ndarray, ids: pa.StringArray | pa.ChunkedArray) -> np.ndarray:
    """Rows by ascending score, rows of equal score by id (in Unicode order).

    Only rows whose score is not unique are compared by id: sorting numbers is cheap, sorting strings is not.

    Args:
        scores: float `(rows,)`, none NaN.
        ids: one string per row.

    Returns:
        int64 `(rows,)`, positions in `scores`.

    Raises:
        ValueError: for a NaN or different lengths.
    """
    if len(scores) != len(ids):
        raise ValueError(f"there are {len(scores)} scores for {len(ids)} ids")
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are NaN")
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    same_as_next = ordered[1:] == ordered[:-1]
    tied = np.zeros(len(order), dtype=bool)
    tied[1:] |= same_as_next
    tied[:-1] |= same_as_next
    if tied.any():
        rows = order[tied]
        keys = pa.table({"score": ordered[tied], "id": ids.take(pa.array(rows))})
        order[tied] = rows[pc.sort_indices(keys, sort_keys=[("score", "ascending"), ("id", "ascending")]).to_numpy()]
    return order


def random_order(ids: pa.StringArray | pa.ChunkedArray, seed: int) -> np.ndarray:
    """Rows in an order that the seed and the set of ids decide, whatever order they come in.

    Returns:
        int64 `(rows,)`.
    """
    by_id = pc.sort_indices(ids).to_numpy().astype(np.int64)
    return by_id[np.random.default_rng(seed).permutation(len(ids))]


def take_by_quota(order: np.ndarray, clusters: np.ndarray, quotas: np.ndarray) -> np.ndarray:
    """Walk through `order` and take a row while its cluster has quota left.

    Args:
        order: int `(rows,)`, the rows of the walk, a part or all of `clusters`.
        clusters: int `(all rows,)`, below `len(quotas)`.
        quotas: int `(clusters,)`.

    Returns:
        int64, the rows that were taken, in the order of the walk.

    Raises:
        ValueError: if a cluster has no quota.
    """
    walked = clusters[order].astype(np.int32)
    if len(walked) and (walked.min() < 0 or walked.max() >= len(quotas)):
        raise ValueError(f"clusters must lie in 0..{len(quotas) - 1}, got {walked.min()}..{walked.max()}")
    # Sorting stably by cluster keeps the walk's order inside each: the place within the cluster is then a difference.
    by_cluster = np.argsort(walked, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(walked, minlength=len(quotas)))[:-1]])
    rank = np.empty(len(walked), dtype=np.int64)
    rank[by_cluster] = np.arange(len(walked)) - starts[walked[by_cluster]]
    return order[rank < np.asarray(quotas)[walked]]


def largest_remainder(target: int, weights: Sequence[int]) -> np.ndarray:
    """Share `target` out in proportion to `weights`, in whole numbers that sum to it exactly.

    Each gets the whole part of its share; the rest goes one by one to the largest remainders, the lowest index first
    among equal ones.

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
