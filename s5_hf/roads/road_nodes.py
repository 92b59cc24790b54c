"""From scores of keypoints and roads to the nodes of a graph, row by row.

Points that are too close to a better one are suppressed. The decisions are those over the whole map at once, however
the rows come in: a point whose fate still depends on rows that have not come waits for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["NodeFinder", "NodeSettings", "Nodes", "RollingSuppression", "released_road_nodes", "road_nodes"]

_CHUNK = 4096
_KEYPOINT_BONUS = 256  # above every score of a byte


@dataclass(frozen=True)
class NodeSettings:
    """Which pixels become nodes. The defaults are the radii of SAM-Road++ and its thresholds for City-Scale.

    Attributes:
        keypoint_threshold, road_threshold: lowest score of a candidate, exclusive, 0..1.
        keypoint_spacing: of two keypoints no farther apart than this the better one stays, in pixels.
        road_spacing: the same for points on roads, and for both together, where keypoints come first.

    Raises:
        ValueError: a threshold is outside 0..1, or a radius is below 0.
    """

    keypoint_threshold: float = 0.242
    road_threshold: float = 0.404
    keypoint_spacing: float = 8.0
    road_spacing: float = 16.0

    def __post_init__(self) -> None:
        for name in ("keypoint_threshold", "road_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1, got {getattr(self, name)}")
        for name in ("keypoint_spacing", "road_spacing"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number of pixels from 0 on, got {getattr(self, name)}")


@dataclass(frozen=True)
class Nodes:
    """Nodes in the order in which they are decided.

    Attributes:
        points: int64 `(n, 2)`, x and y in pixels.
        scores: int64 `(n,)`, 0..255: of a keypoint its keypoint score, of others the road score.
        is_keypoint: bool `(n,)`: whether a node is a crossing or an end, and not a point along a road.
    """

    points: np.ndarray
    scores: np.ndarray
    is_keypoint: np.ndarray


def road_nodes(keypoint: np.ndarray, road: np.ndarray, settings: NodeSettings | None = None) -> Nodes:
    """The nodes of a whole map: of the suppression that is meant (scores below 1, see docs/differences.md).

    Args:
        keypoint, road: scores x 255, truncated, uint8 `(height, width)`.
        settings: thresholds and radii.

    Raises:
        ValueError: another type, or two shapes.
    """
    finder = NodeFinder(keypoint.shape[-1], settings)
    return finder.add(keypoint, road, is_last=True)


def released_road_nodes(keypoint: np.ndarray, road: np.ndarray, settings: NodeSettings | None = None) -> np.ndarray:
    """The nodes that the release finds, for comparison with its results, int64 `(n, 2)`, x and y.

    Its two first passes suppress nothing, because bytes are never below 1; they only sort the candidates. Of equal
    scores the last comes first (a stable sort, reversed; the release leaves the order of ties to the machine).

    Args:
        keypoint, road, settings: as `road_nodes`.
    """
    settings = settings or NodeSettings()
    found = [
        points[np.argsort(scores, kind="stable")[::-1]]
        for points, scores in (
            _candidates(keypoint, settings.keypoint_threshold, 0),
            _candidates(road, settings.road_threshold, 0),
        )
    ]
    points = np.concatenate(found)
    is_keypoint = np.arange(len(points)) < len(found[0])
    order = np.argsort(is_keypoint, kind="stable")[::-1]
    nothing = np.zeros((0, 2), dtype=np.int64)
    kept, _ = _decide(points, order, settings.road_spacing, nothing, keypoint.shape[1], math.inf)
    return points[kept]


class NodeFinder:
    """Finds nodes while the rows of a map come in from top to bottom.

    Args:
        width: of the map in pixels.
        settings: thresholds and radii.

    Attributes:
        settled: all nodes in rows above this one have been given.
    """

    def __init__(self, width: int, settings: NodeSettings | None = None) -> None:
        self._width = width
        self._settings = settings or NodeSettings()
        self._rows = 0
        self._keypoints = RollingSuppression(self._settings.keypoint_spacing, width)
        self._roads = RollingSuppression(self._settings.road_spacing, width)
        self._both = RollingSuppression(self._settings.road_spacing, width)
        self.settled: float = 0

    def add(self, keypoint: np.ndarray, road: np.ndarray, is_last: bool = False) -> Nodes:
        """Take the next rows, and give the nodes that they decide.

        Args:
            keypoint, road: scores x 255, truncated, uint8 `(rows, width)`.
            is_last: whether no rows follow.

        Raises:
            ValueError: another type or shape.
        """
        for name, scores in (("keypoint", keypoint), ("road", road)):
            if scores.dtype != np.uint8 or scores.shape != (keypoint.shape[0], self._width):
                raise ValueError(
                    f"{name} scores must be uint8 (rows, {self._width}), as many rows of both; got {scores.dtype} "
                    f"{scores.shape}"
                )
        top = self._rows
        self._rows += len(keypoint)
        known = math.inf if is_last else self._rows
        keypoints = self._keypoints.add(*_candidates(keypoint, self._settings.keypoint_threshold, top), known)
        roads = self._roads.add(*_candidates(road, self._settings.road_threshold, top), known)
        points = np.concatenate([keypoints[0], roads[0]])
        scores = np.concatenate([keypoints[1] + _KEYPOINT_BONUS, roads[1]])
        known = min(self._keypoints.settled, self._roads.settled)
        points, scores = self._both.add(points, scores, known)
        self.settled = self._both.settled
        is_keypoint = scores >= _KEYPOINT_BONUS
        return Nodes(points, scores - _KEYPOINT_BONUS * is_keypoint, is_keypoint)


class RollingSuppression:
    """Keeps points, the best first, that no kept point is near; of equal scores the first, row after row.

    Args:
        radius: how far a kept point reaches, inclusive, in pixels.
        width: of the map in pixels.

    Attributes:
        settled: the fate of every point in rows above this one is known.
    """

    def __init__(self, radius: float, width: int) -> None:
        self._radius, self._width = radius, width
        self._waiting = np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.int64)
        self._kept = np.zeros((0, 2), dtype=np.int64)  # those that reach rows which are not settled
        self.settled: float = 0

    def add(self, points: np.ndarray, scores: np.ndarray, known: float) -> tuple[np.ndarray, np.ndarray]:
        """Take further points, and give those that are now known to stay, with their scores, the best first.

        Args:
            points: int64 `(n, 2)`, x and y, in any order, none in a row above the last `known`.
            scores: int64 `(n,)`.
            known: no points in rows above this one will follow; infinity for no points at all.
        """
        points = np.concatenate([self._waiting[0], points])
        scores = np.concatenate([self._waiting[1], scores])
        order = np.lexsort((points[:, 0], points[:, 1], -scores))
        kept, undecided = _decide(points, order, self._radius, self._kept, self._width, known)
        self._waiting = points[undecided], scores[undecided]
        self.settled = min(known, self._waiting[0][:, 1].min(initial=np.iinfo(np.int64).max))
        near = np.concatenate([self._kept, points[kept]])
        self._kept = near[near[:, 1] + self._radius >= self.settled]
        return points[kept], scores[kept]


def _candidates(scores: np.ndarray, threshold: float, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Points above a threshold, row after row, as x and y, and their scores."""
    row, column = np.nonzero(scores > 255 * threshold)
    points = np.stack([column, row + top], axis=1).astype(np.int64)
    return points, scores[row, column].astype(np.int64)


def _decide(
    points: np.ndarray, order: np.ndarray, radius: float, kept_before: np.ndarray, width: int, known: float
) -> tuple[list[int], list[int]]:
    """Which points stay, and which are not decided, in the order in which they are looked at.

    A point stays unless a point that stays is near. It is not decided where a point in a row that is not known, or
    another one that is not decided and comes first, could be near.
    """
    if not len(points):
        return [], []
    reach = int(radius)
    disc = _disc(radius)
    top = int(points[:, 1].min())
    taken = np.zeros((int(points[:, 1].max()) - top + 1 + 2 * reach, width + 2 * reach), dtype=bool)
    doubtful = np.zeros_like(taken)
    # The rasters have a margin of `reach` all around, so that point (x, y) has its disc at [y - top:, x:].
    for x, y in kept_before[kept_before[:, 1] >= top - reach].tolist():
        row = y - top
        first = max(0, -row)
        if row < len(taken):
            part = taken[row + first : row + 2 * reach + 1, x : x + 2 * reach + 1]
            part |= disc[first : first + len(part)]
    if known < math.inf:
        doubtful[max(0, math.ceil(known - radius) - top + reach) :] = True
    kept: list[int] = []
    undecided: list[int] = []
    for start in range(0, len(order), _CHUNK):
        chunk = order[start : start + _CHUNK]
        rows, columns = points[chunk, 1] - top, points[chunk, 0]
        free = ~taken[rows + reach, columns + reach]
        for index, row, column in zip(chunk[free].tolist(), rows[free].tolist(), columns[free].tolist(), strict=True):
            if taken[row + reach, column + reach]:
                continue
            is_undecided = doubtful[row + reach, column + reach]
            (undecided if is_undecided else kept).append(index)
            (doubtful if is_undecided else taken)[row : row + 2 * reach + 1, column : column + 2 * reach + 1] |= disc
    return kept, undecided


def _disc(radius: float) -> np.ndarray:
    """The pixels no farther than `radius` from the one in the middle, bool `(2 * int(radius) + 1, ...)`."""
    steps = np.arange(-int(radius), int(radius) + 1)
    return steps[:, None] ** 2 + steps[None, :] ** 2 <= radius**2
