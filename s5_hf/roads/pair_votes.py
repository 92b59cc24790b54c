"""Which pairs of nodes a network is asked about, and what the answers of overlapping windows decide together."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

__all__ = ["PairVotes", "neighbor_pairs", "points_in_window"]


def points_in_window(points: np.ndarray, window: tuple[float, float, float, float]) -> np.ndarray:
    """Indices of the points in a window, int64, rising; points on its border belong to it on all four sides.

    Args:
        points: `(n, 2)`, x and y.
        window: left, top, right, bottom.
    """
    left, top, right, bottom = window
    x, y = points[:, 0], points[:, 1]
    return np.flatnonzero((x >= left) & (x <= right) & (y >= top) & (y <= bottom))


def neighbor_pairs(points: np.ndarray, count: int, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """The nearest neighbours of every point.

    Args:
        points: `(n, 2)`, x and y.
        count: neighbours per point at most.
        radius: all are nearer than this.

    Returns:
        neighbours: indices, int64 `(n, count)`, the nearest first; where there are fewer, the point itself.
        valid: bool `(n, count)`: whether there is such a neighbour.
    """
    sources = np.arange(len(points), dtype=np.int64)
    if not len(points) or not count:
        return np.zeros((len(points), count), dtype=np.int64), np.zeros((len(points), count), dtype=bool)
    # One more than asked for, because every point is its own nearest neighbour.
    _, found = KDTree(points).query(points, k=count + 1, distance_upper_bound=radius)
    neighbours = found[:, 1:].astype(np.int64)
    valid = neighbours < len(points)
    return np.where(valid, neighbours, sources[:, None]), valid


class PairVotes:
    """The mean score of each pair of nodes over the windows that hold both.

    A pair has a direction, from its source to its target, and each direction its own mean. Two nodes are connected
    where the mean of a direction exceeds the threshold.

    Args:
        threshold: of a connection, exclusive.

    Raises:
        ValueError: the threshold is outside 0..1.
    """

    def __init__(self, threshold: float) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"the threshold of a connection must be in 0..1, got {threshold}")
        self._threshold = threshold
        self._pairs = np.zeros((0, 2), dtype=np.int64)
        self._sums = np.zeros(0)
        self._windows = np.zeros(0, dtype=np.int64)

    def add(self, pairs: np.ndarray, scores: np.ndarray, windows: np.ndarray | int = 1) -> None:
        """Take the answers of a window, or the sums of those of several.

        Args:
            pairs: int64 `(n, 2)`, numbers of source and target.
            scores: `(n,)`, 0..1, or sums of so many.
            windows: how many, int64 `(n,)`, or one number for all.
        """
        self._pairs = np.concatenate([self._pairs, np.asarray(pairs, dtype=np.int64).reshape(-1, 2)])
        self._sums = np.concatenate([self._sums, np.asarray(scores, dtype=np.float64)])
        self._windows = np.concatenate([self._windows, np.broadcast_to(np.int64(windows), (len(scores),))])

    def sums(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What `add` takes to continue elsewhere: pairs, rising, sums of their scores, and numbers of windows."""
        self._merge()
        return self._pairs, self._sums, self._windows

    def means(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs `(n, 2)`, rising, their mean scores float64 `(n,)` and the number of windows int64 `(n,)`."""
        pairs, sums, windows = self.sums()
        return pairs, sums / np.maximum(windows, 1), windows

    def take_edges(self, is_done: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The connections that no further window votes on; all their votes are forgotten.

        Args:
            is_done: bool, by number of the node: whether no further window holds it. All are done, if left out.

        Returns:
            edges: int64 `(m, 2)`, the smaller number first, each once, rising.
            scores: float64 `(m,)`, the larger one of the means of the two directions.
        """
        pairs, means, _ = self.means()
        done = np.ones(len(pairs), dtype=bool) if is_done is None else is_done[pairs].any(axis=1)
        chosen = done & (means > self._threshold)
        edges, scores = np.sort(pairs[chosen], axis=1), means[chosen]
        edges, numbers = np.unique(edges, axis=0, return_inverse=True)
        best = np.zeros(len(edges))
        np.maximum.at(best, numbers.reshape(-1), scores)
        self._pairs, self._sums, self._windows = self._pairs[~done], self._sums[~done], self._windows[~done]
        return edges, best

    def _merge(self) -> None:
        pairs, numbers = np.unique(self._pairs, axis=0, return_inverse=True)
        numbers = numbers.reshape(-1)
        self._sums = np.bincount(numbers, self._sums, len(pairs))
        self._windows = np.bincount(numbers, self._windows, len(pairs)).astype(np.int64)
        self._pairs = pairs
