"""Pairs of points of a road graph, and whether a road connects them: what the topology network learns from.

Source: SAM-Road++ (arXiv 2411.16733) with the numerics of the official code. Positions are (x, y) in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from ..dataset_builders.road_graph import RoadGraph
from .labels import Box, PiecedGraph, near_box
from .pair_votes import neighbor_pairs, points_in_window

__all__ = ["PairSettings", "RoadPairs", "label_pairs", "quarter_turns", "sample_pairs", "space_points"]

KEYPOINT_SCORE = 2.0
"""Above every random score; points with more than 1 are never suppressed."""

LOWEST_SCORE = 0.9
INTERESTING_WEIGHT, OTHER_WEIGHT = 0.9, 0.1
MARGIN = 128
"""Pixels around a crop: as far as a path of `path_pieces` can leave it, each at most 8 px long."""


@dataclass(frozen=True)
class PairSettings:
    """How pairs are sampled.

    Attributes:
        sources: per crop, drawn with replacement.
        max_neighbors: pairs of a source, with its nearest points.
        neighbor_radius: pixels within which they lie, exclusive.
        spacing: pixels; of two points no farther apart one is dropped, unless both are ends or junctions.
        path_pieces: longest path between connected points, in pieces of about 4 px.
    """

    sources: int = 128
    max_neighbors: int = 16
    neighbor_radius: float = 64.0
    spacing: float = 16.0
    path_pieces: int = 16


@dataclass(frozen=True)
class RoadPairs:
    """Points of a crop and pairs of them.

    Attributes:
        points: float32 `(points, 2)`, from the corner of the crop; (0, 0) alone where the crop has no road.
        pairs: int64 `(sources, neighbors, 2)`, numbers of source and target.
        connected, valid: bool `(sources, neighbors)`; a pair that is not valid fills up, and is not connected.
    """

    points: np.ndarray
    pairs: np.ndarray
    connected: np.ndarray
    valid: np.ndarray


def sample_pairs(
    graph: RoadGraph, box: Box, settings: PairSettings, generator: np.random.Generator, turns: int = 0
) -> RoadPairs:
    """Draw points and pairs of a crop.

    Args:
        graph: of the image.
        box: left, top, right, bottom of the crop, a square.
        settings: how many, and how far apart.
        generator: of all random numbers.
        turns: quarter turns against the clock by which the crop is turned.
    """
    pieced = PiecedGraph.of(*near_box(graph, box, MARGIN))
    candidates = points_in_window(pieced.points, box)
    candidates = candidates[~pieced.is_excluded[candidates]]
    scores = generator.uniform(LOWEST_SCORE, 1.0, len(candidates))
    scores[pieced.is_keypoint[candidates]] = KEYPOINT_SCORE
    kept = candidates[space_points(pieced.points[candidates], scores, settings.spacing)]
    if not len(kept):
        shape = (settings.sources, settings.max_neighbors)
        nothing = np.zeros(shape, dtype=bool)
        return RoadPairs(np.zeros((1, 2), dtype=np.float32), np.zeros((*shape, 2), dtype=np.int64), nothing, nothing)
    weights = np.where(pieced.is_interesting[kept], INTERESTING_WEIGHT, OTHER_WEIGHT)
    sources = generator.choice(len(kept), settings.sources, p=weights / weights.sum())
    pairs, connected, valid = label_pairs(pieced, kept, sources, settings)
    points = quarter_turns(pieced.points[kept] - box[:2], turns, box[2] - box[0])
    return RoadPairs(points.astype(np.float32), pairs, connected, valid)


def space_points(points: np.ndarray, scores: np.ndarray, spacing: float) -> np.ndarray:
    """Numbers of the points that stay, the best first: those that no better one is near, and all above 1.

    Args:
        points: `(n, 2)`.
        scores: `(n,)`; of equal scores the first comes first.
        spacing: pixels, inclusive.
    """
    if not len(points):
        return np.zeros(0, dtype=np.int64)
    around = KDTree(points).query_ball_point(points, spacing)
    suppressed = np.zeros(len(points), dtype=bool)
    kept = []
    for number in np.argsort(-scores, kind="stable").tolist():
        if suppressed[number]:
            continue
        kept.append(number)
        near = np.array(around[number])
        suppressed[near[scores[near] <= 1]] = True
    return np.array(kept, dtype=np.int64)


def label_pairs(
    pieced: PiecedGraph, kept: np.ndarray, sources: np.ndarray, settings: PairSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of sources with their nearest points, and which of them are connected.

    A pair is connected where a path along the pieces leads from one to the other without passing a third point that
    the source is paired with.

    Args:
        pieced: the graph.
        kept: numbers of its points that may be paired.
        sources: positions in `kept`, `(sources,)`.
        settings: how many pairs, how near, and how long a path.

    Returns:
        `pairs` of positions in `kept`, int64 `(sources, neighbors, 2)`, `connected` and `valid`, bool
        `(sources, neighbors)`.
    """
    neighbours, near = neighbor_pairs(pieced.points[kept], settings.max_neighbors, settings.neighbor_radius)
    targets, valid = neighbours[sources], near[sources]
    pairs = np.stack([np.broadcast_to(sources[:, None], targets.shape), targets], axis=-1).astype(np.int64)
    around: dict[int, list[int]] = {}
    for first, second in pieced.pieces.tolist():
        around.setdefault(first, []).append(second)
        around.setdefault(second, []).append(first)
    connected = np.zeros(valid.shape, dtype=bool)
    known: dict[int, np.ndarray] = {}  # sources are drawn with replacement
    for row, source in enumerate(sources.tolist()):
        if source not in known:
            numbers = kept[targets[row]]
            reached = _reached(around, int(kept[source]), set(numbers[valid[row]].tolist()), settings.path_pieces)
            known[source] = np.isin(numbers, list(reached)) & valid[row]
        connected[row] = known[source]
    return pairs, connected, valid


def _reached(around: dict[int, list[int]], source: int, targets: set[int], depth: int) -> set[int]:
    """The targets at the ends of paths of at most `depth` pieces that pass no other target."""
    seen, front, found = {source}, [source], set()
    for _ in range(depth):
        following = []
        for point in front:
            for other in around.get(point, ()):
                if other in seen:
                    continue
                seen.add(other)
                if other in targets:
                    found.add(other)
                else:
                    following.append(other)
        front = following
    return found


def quarter_turns(points: np.ndarray, turns: int, size: float) -> np.ndarray:
    """Points `(n, 2)` of a square that is turned against the clock, as `numpy.rot90` turns its image."""
    for _ in range(turns % 4):
        points = np.stack([points[:, 1], size - points[:, 0]], axis=1)
    return points
