"""Near-duplicates by 64-bit hashes: two patches are near when their hashes differ in at most a few bits.

Hashes within `distance` bits agree in at least one of `distance + 1` bands of bits, so only rows that share a band
are compared. All steps are passes over arrays.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

__all__ = ["HASH_BITS", "first_of_near_duplicates", "near_any"]

HASH_BITS = 64
MAX_DISTANCE = 15


# `near_any` has the same arguments and errors on purpose: each docstring is read alone.
def first_of_near_duplicates(hashes: np.ndarray, distance: int = 0) -> np.ndarray:
    """Which rows stay when each row that is near an earlier row that stays is dropped.

    Args:
        hashes: uint64 `(rows,)`, in the order in which rows have precedence.
        distance: largest number of different bits between near-duplicates, 0 to 15. The work grows quickly with it.

    Returns:
        bool `(rows,)`.

    Raises:
        ValueError: if the distance is out of range.
    """
    _check_distance(distance)
    keep = np.zeros(len(hashes), dtype=bool)
    # Only the first of equal hashes can stay: it decides for all.
    firsts = np.sort(np.unique(hashes, return_index=True)[1])
    keep[firsts] = True
    if distance == 0 or len(firsts) < 2:
        return keep
    pairs = [np.stack(pair) for pair in _near_pairs(hashes[firsts], distance)]
    earlier, later = np.unique(np.concatenate(pairs, axis=1), axis=1) if pairs else np.empty((2, 0), dtype=np.int64)
    by_later = np.argsort(later, kind="stable")
    stays = np.ones(len(firsts), dtype=bool)
    # In the order of `later`, the fate of `earlier` is settled whenever it is asked for.
    for first, second in zip(earlier[by_later].tolist(), later[by_later].tolist(), strict=True):
        if stays[first]:
            stays[second] = False
    keep[firsts] = stays
    return keep


# Its arguments and errors are those of `first_of_near_duplicates` on purpose: each docstring is read alone.
def near_any(hashes: np.ndarray, references: np.ndarray, distance: int = 0) -> np.ndarray:
    """Which rows are near at least one of the references.

    Args:
        hashes: uint64 `(rows,)`.
        references: uint64 `(references,)`.
        distance: largest number of different bits, 0 to 15.

    Returns:
        bool `(rows,)`.

    Raises:
        ValueError: if the distance is out of range.
    """
    _check_distance(distance)
    near = np.zeros(len(hashes), dtype=bool)
    references = np.unique(references)
    for shift, mask in _bands(distance):
        keys = (references >> shift) & mask
        by_key = np.argsort(keys, kind="stable")
        keys, sorted_references = keys[by_key], references[by_key]
        rows = np.flatnonzero(~near)
        wanted = (hashes[rows] >> shift) & mask
        position, stop = np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
        while len(rows):
            open_rows = position < stop
            rows, position, stop = rows[open_rows], position[open_rows], stop[open_rows]
            found = _different_bits(hashes[rows], sorted_references[position]) <= distance
            near[rows[found]] = True
            rows, position, stop = rows[~found], position[~found] + 1, stop[~found]
    return near


def _near_pairs(hashes: np.ndarray, distance: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows (earlier, later) of unequal hashes within the distance; a pair may come more than once."""
    for shift, mask in _bands(distance):
        keys = (hashes >> shift) & mask
        by_key = np.argsort(keys, kind="stable")
        keys, ordered = keys[by_key], hashes[by_key]
        left = np.arange(len(keys))
        for step in range(1, len(keys)):
            # Rows of one band value lie side by side, so who has no partner at this step has none at the next.
            left = left[: np.searchsorted(left, len(keys) - step)]
            left = left[keys[left] == keys[left + step]]
            if not len(left):
                break
            near = left[_different_bits(ordered[left], ordered[left + step]) <= distance]
            if len(near):
                yield by_key[near], by_key[near + step]  # the stable sort keeps the earlier row on the left


def _bands(distance: int) -> list[tuple[np.uint64, np.uint64]]:
    """(shift, mask) of `distance + 1` bands that cover all bits."""
    edges = [HASH_BITS * band // (distance + 1) for band in range(distance + 2)]
    return [(np.uint64(start), np.uint64((1 << (stop - start)) - 1)) for start, stop in pairwise(edges)]


def _different_bits(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.bitwise_count(left ^ right)


def _check_distance(distance: int) -> None:
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"the distance between near-duplicates must be 0 to {MAX_DISTANCE} bits, got {distance}")
