"""Walks on road graphs that drop marbles at equal steps, as TOPO compares them; all lengths are in degrees."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..dataset_builders.road_graph import RoadGraph
from .road_hops import degrees_of

__all__ = ["PAIRING_WIDTH", "RoadPlace", "RoadWalker", "cosines"]

STEP = 0.00005
_BOX = 0.0002  # around a point: edges beyond it are no candidates
_SIDEWAYS = 0.0001
_PAIRING_ANGLE = 0.04  # 1 - |cos|
PAIRING_WIDTH = math.cos(math.radians(40.0))
"""Degrees of longitude in degrees of latitude where directions are compared."""


@dataclass(frozen=True)
class RoadPlace:
    """A place on an edge.

    Attributes:
        place: latitude and longitude.
        direction: of the road there, differences of latitude and longitude.
        ends: the nodes of the edge.
        distances: to these.
    """

    place: tuple[float, float]
    direction: tuple[float, float]
    ends: tuple[int, int]
    distances: tuple[float, float]


@dataclass(eq=False)
class RoadWalker:
    """A road graph to walk on.

    Attributes:
        places: float64 `(n, 2)`, latitude and longitude of the nodes.
        neighbours: of each node with the length of the edge, in the order of the edges.
        edges: int64 `(m, 2)`.
    """

    places: np.ndarray
    neighbours: list[dict[int, float]]
    edges: np.ndarray

    @classmethod
    def of(cls, graph: RoadGraph, pixel_size: float = 1.0) -> RoadWalker:
        """A walker on a graph in pixels of so many metres."""
        places = degrees_of(graph.nodes * pixel_size)
        neighbours: list[dict[int, float]] = [{} for _ in places]
        for a, b in graph.edges.tolist():
            neighbours[a][b] = _length(places[a], places[b])
            neighbours[b][a] = _length(places[b], places[a])
        return cls(places, neighbours, graph.edges)

    def starting_places(self, shortest: float, spacing: float) -> list[RoadPlace]:
        """Places along the chains between crossings and ends, at equal distances from both ends.

        Args:
            shortest: shorter chains have none.
            spacing: about how far apart they are.
        """
        found: list[RoadPlace] = []
        for chain in self._chains():
            lengths = [self.neighbours[a][b] for a, b in pairwise(chain)]
            total = sum(lengths)
            if total < shortest:
                continue
            count = max(int(total / spacing), 1)
            found.extend(self._place_along(chain, lengths, total * i / (count + 1)) for i in range(1, count + 1))
        return found

    def _chains(self) -> Iterator[list[int]]:
        """Runs of nodes between those whose degree is not 2; an edge between two of these comes once for each end."""
        visited: set[int] = set()
        for start, around in enumerate(self.neighbours):
            if len(around) == 2:
                continue
            for near in around:
                if near in visited:
                    continue
                chain = [start, near]
                while len(self.neighbours[chain[-1]]) == 2:
                    chain.append(next(node for node in self.neighbours[chain[-1]] if node != chain[-2]))
                visited.update(chain[1:-1])
                yield chain

    def _place_along(self, chain: list[int], lengths: list[float], distance: float) -> RoadPlace:
        edge = 0
        while edge < len(lengths) - 1 and distance > lengths[edge]:
            distance -= lengths[edge]
            edge += 1
        (a, b), length = chain[edge : edge + 2], lengths[edge]
        direction = self.places[b] - self.places[a]
        place = self.places[a] + direction * min(1.0, distance / length)
        return RoadPlace(tuple(place.tolist()), tuple(direction.tolist()), (a, b), (distance, length - distance))

    def paired(self, other: RoadPlace) -> RoadPlace | None:
        """The place on the nearest edge that runs in the direction of a place on another graph; None if none is near.

        Distances to the ends are measured from the other place itself.
        """
        if not len(self.edges):
            return None
        point = np.array(other.place)
        first, second = self.places[self.edges[:, 0]], self.places[self.edges[:, 1]]
        low, high = np.minimum(first, second) - _BOX, np.maximum(first, second) + _BOX
        near = np.flatnonzero(((point >= low) & (point <= high)).all(axis=1))
        scale = np.array([1.0, PAIRING_WIDTH])
        begin, step = first[near] * scale, (second[near] - first[near]) * scale
        share = np.clip(((point * scale - begin) * step).sum(axis=1) / (step**2).sum(axis=1), 0, 1)
        beside = np.linalg.norm(begin + share[:, None] * step - point * scale, axis=1)
        turned = 1 - np.abs(cosines(step, np.array(other.direction) * scale))
        beside[(beside >= _SIDEWAYS) | (turned >= _PAIRING_ANGLE)] = np.inf
        if not len(near) or np.isinf(beside.min()):
            return None
        a, b = (int(node) for node in self.edges[near[np.argmin(beside)]])
        distances = _length(point, self.places[a]), _length(point, self.places[b])
        return RoadPlace(other.place, tuple((self.places[b] - self.places[a]).tolist()), (a, b), distances)

    def marbles(self, start: RoadPlace, radius: float) -> np.ndarray:
        """Marbles on all roads that are no farther than `radius` from a place along the roads.

        Returns:
            float64 `(marbles, 4)`: latitude, longitude, and the direction of the road.
        """
        first, second = start.ends
        found = self._marbles_on_start(first, second)
        reached: dict[int, float] = {}
        covered: dict[tuple[int, int], float] = {}
        queue = deque([(first, -1, start.distances[0]), (second, -1, start.distances[1])])
        while queue:
            node, previous, distance = queue.popleft()
            if distance > radius or reached.get(node, math.inf) <= distance:
                continue
            before = reached.get(node)
            reached[node] = distance
            for near, length in self.neighbours[node].items():
                if near in (previous, first, second):
                    continue
                if before is None or before + length >= radius:
                    self._drop(found, node, near, distance, radius, covered)
                queue.append((near, node, distance + length))
        return np.array(list(found), dtype=np.float64).reshape(-1, 4)

    def _marbles_on_start(self, first: int, second: int) -> dict[tuple[float, ...], None]:
        begin, length = self.places[second], self.neighbours[second][first]
        step = self.places[first] - begin
        shares = np.arange(0, length, STEP) / length
        return dict.fromkeys((*(begin + share * step).tolist(), *step.tolist()) for share in shares)

    def _drop(
        self,
        found: dict[tuple[float, ...], None],
        node: int,
        near: int,
        distance: float,
        radius: float,
        covered: dict[tuple[int, int], float],
    ) -> None:
        """Drop marbles on an edge at whole steps of the distance walked, where none were dropped before."""
        begin, length = self.places[node], self.neighbours[node][near]
        step = self.places[near] - begin
        ours, theirs = covered.get((node, near), 0.0), covered.get((near, node), 0.0)
        last = ours
        # Steps are summed as the released program does: rounding decides whether the last marble is dropped.
        walked = STEP * math.ceil(distance / STEP) - distance
        while walked < length and walked + distance <= radius:
            if walked >= ours and length - walked >= theirs:
                found[(*(begin + step * (walked / length)).tolist(), *step.tolist())] = None
            last = max(last, walked)
            walked += STEP
        covered[node, near] = last


def _length(first: np.ndarray, second: np.ndarray) -> float:
    height, width = (second - first).tolist()
    return math.hypot(height, width * math.cos(math.radians(first[0])))


def cosines(vectors: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine of the angle between each vector `(n, 2)` and another; 0 for a vector without length."""
    lengths = np.linalg.norm(vectors, axis=-1) * np.linalg.norm(other, axis=-1)
    return np.divide((vectors * other).sum(axis=-1), lengths, out=np.zeros_like(lengths), where=lengths > 0)
