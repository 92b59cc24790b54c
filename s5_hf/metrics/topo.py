"""TOPO: what is reached along the roads from places of the reference, compared with the prediction.

Source: Biagioni and Eriksson, Inferring Road Maps from Global Positioning System Traces (2012), in the form of the
program that Sat2Graph and SAM-Road publish numbers with.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import KDTree

from ..dataset_builders.road_graph import RoadGraph
from .road_hops import ORIGIN
from .road_walks import PAIRING_WIDTH, RoadPlace, RoadWalker, cosines
from .sums import Sums

__all__ = ["TopoCounts", "compare_walks"]

_SHORTEST_CHAIN, _SPACING = 0.00025, 0.0005
_RADIUS, _SMALL_RADIUS, _SMALL_TILE = 0.003, 0.0015, 0.01
_MATCHED, _MATCHED_ANGLE = 0.0001, 0.29
_COPY_SHIFT = 1e-5
_SURE, _NEAR_BOX, _NEAR_ROAD = 0.9, 0.0003, 0.0002


@dataclass(frozen=True)
class TopoCounts(Sums):
    """Sums from which TOPO follows; they add up over tiles.

    Attributes:
        starts: places of the reference where walks begin.
        kept: those with a partner of their own in the prediction.
        precision_sum, recall_sum: of the walks that are kept.
    """

    starts: int = 0
    kept: int = 0
    precision_sum: float = 0.0
    recall_sum: float = 0.0

    @property
    def precision(self) -> float:
        """Share of what is reached in the prediction that the reference has, 0..1; 0 if no walk has a partner."""
        return self.precision_sum / self.kept if self.kept else 0.0

    @property
    def recall(self) -> float:
        """Share of what is reached in the reference that the prediction has; NaN if no walk begins anywhere."""
        return self.recall_sum / self.starts if self.starts else float("nan")

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 where both are 0, NaN if no walk begins anywhere."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else both


def compare_walks(
    reference: RoadGraph, prediction: RoadGraph, pixel_size: float = 1.0, small: bool | None = None
) -> TopoCounts:
    """Compare two graphs of one tile.

    Args:
        reference, prediction: in pixels.
        pixel_size: metres per pixel.
        small: whether walks end after 170 m instead of 330 m; by default where both graphs end within 1110 m from the
            upper edge. SpaceNet always has it. The released program goes by all tiles it has seen so far.

    Raises:
        ValueError: `pixel_size` is not above 0.
    """
    if not pixel_size > 0:
        raise ValueError(f"pixel_size must be above 0, got {pixel_size}")
    truth, found = RoadWalker.of(reference, pixel_size), RoadWalker.of(prediction, pixel_size)
    if small is None:
        lowest = min((walker.places[:, 0].min() for walker in (truth, found) if len(walker.places)), default=0.0)
        small = ORIGIN[0] - lowest < _SMALL_TILE
    radius = _SMALL_RADIUS if small else _RADIUS
    starts = truth.starting_places(_SHORTEST_CHAIN, _SPACING)
    pairs = [(start, partner) for start in starts if (partner := found.paired(start)) is not None]
    shares = np.array([_shares(truth, found, start, partner, radius) for start, partner in pairs]).reshape(-1, 2)
    kept = _one_to_one(found, [partner for _, partner in pairs], shares[:, 0])
    return TopoCounts(len(starts), len(kept), float(shares[kept, 0].sum()), float(shares[kept, 1].sum()))


def _shares(
    truth: RoadWalker, found: RoadWalker, start: RoadPlace, partner: RoadPlace, radius: float
) -> tuple[float, float]:
    """Precision and recall of one walk."""
    wanted, reached = truth.marbles(start, radius), found.marbles(partner, radius)
    if not len(wanted) or not len(reached):
        return 0.0, 0.0
    copies = np.concatenate([wanted, wanted + np.array([_COPY_SHIFT, _COPY_SHIFT, 0, 0])])
    return _matched(reached, copies) / len(reached), _matched(wanted, reached) / len(wanted)


def _matched(ours: np.ndarray, theirs: np.ndarray) -> int:
    """How many marbles find a partner of their own that is near and on a road of the same direction."""
    scale = np.array([1.0, math.cos(math.radians(ORIGIN[0]))])
    trees = [KDTree(marbles[:, :2] * scale) for marbles in (ours, theirs)]
    near = trees[0].sparse_distance_matrix(trees[1], _MATCHED, output_type="ndarray")
    rows, columns = near["i"], near["j"]
    width = np.array([1.0, PAIRING_WIDTH])
    turned = 1 - np.abs(cosines(ours[rows, 2:] * width, theirs[columns, 2:] * width))
    fits = (near["v"] < _MATCHED) & (turned < _MATCHED_ANGLE)
    graph = csr_matrix((np.ones(fits.sum()), (rows[fits], columns[fits])), shape=(len(ours), len(theirs)))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def _one_to_one(found: RoadWalker, places: list[RoadPlace], precisions: np.ndarray) -> list[int]:
    """The walks that are kept: a poor one goes if a better one begins at about the same place of the prediction."""
    points = np.array([place.place for place in places]).reshape(-1, 2)
    marked = np.zeros(len(places), dtype=bool)
    kept = []
    for index in np.argsort(precisions, kind="stable")[::-1].tolist():
        if marked[index] and precisions[index] < _SURE:
            continue
        kept.append(index)
        around = np.flatnonzero((np.abs(points - points[index]) <= _NEAR_BOX).all(axis=1))
        reached = _reached(found, places[index])
        near = [other for other in around.tolist() if _distance(places[index], places[other], reached) < _NEAR_ROAD]
        marked[near] = True
    return kept


def _reached(walker: RoadWalker, place: RoadPlace) -> dict[int, float]:
    """Nodes within reach of a place along the roads, and how far they are."""
    reached: dict[int, float] = {}
    queue = [(distance, node) for node, distance in zip(place.ends, place.distances, strict=True)]
    heapq.heapify(queue)
    while queue:
        distance, node = heapq.heappop(queue)
        if distance > _NEAR_ROAD or node in reached:
            continue
        reached[node] = distance
        for near, length in walker.neighbours[node].items():
            heapq.heappush(queue, (distance + length, near))
    return reached


def _distance(one: RoadPlace, other: RoadPlace, reached: dict[int, float]) -> float:
    """The way between two places along the roads."""
    if one.ends == other.ends:
        return abs(one.distances[0] - other.distances[0])
    return min(
        reached.get(node, math.inf) + distance for node, distance in zip(other.ends, other.distances, strict=True)
    )
