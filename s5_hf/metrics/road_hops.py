"""Road graphs cut into short hops, as APLS compares them, and the lengths of shortest paths in them.

Positions are those of the published programs: a pixel of one metre becomes 1/111111 degree at 41 degrees north. This
changes distances by less than 1e-4, and decides where distances are rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree

from ..dataset_builders.road_graph import RoadGraph, numbered_rows

__all__ = ["METRES_PER_DEGREE", "RoadHops", "degrees_of", "nodes_within"]

METRES_PER_DEGREE = 111111.0
ORIGIN = (41.0, -71.0)
"""Latitude and longitude of the first pixel."""

_LONGEST_EDGE, _HOP = 3.0, 2.0


def degrees_of(nodes: np.ndarray) -> np.ndarray:
    """Latitude and longitude `(n, 2)` of places `(n, 2)`, x and y in metres."""
    longitude = ORIGIN[1] + nodes[:, 0] / (METRES_PER_DEGREE * math.cos(math.radians(ORIGIN[0])))
    return np.stack([ORIGIN[0] - nodes[:, 1] / METRES_PER_DEGREE, longitude], axis=1)


def metres_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances of places `(..., 2)` in degrees; a degree of longitude is as long as at the first of the two."""
    difference = second - first
    width = difference[..., 1] * np.cos(np.radians(first[..., 0]))
    return METRES_PER_DEGREE * np.sqrt(difference[..., 0] ** 2 + width**2)


@dataclass(frozen=True, eq=False)
class RoadHops:
    """A road graph whose edges are hops of about 2 m.

    Attributes:
        places: float64 `(n, 2)`, latitude and longitude of the nodes, in the order in which edges name them.
        neighbours: of each node, in the order of the edges.
        edges: int64 `(m, 2)`.
        lengths: int64 `(m,)`, whole centimetres of each edge, rounded down.
    """

    places: np.ndarray
    neighbours: list[list[int]]
    edges: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, graph: RoadGraph, pixel_size: float = 1.0) -> RoadHops:
        """Cut the edges of a graph that are longer than 3 m; nodes without an edge are left out.

        Args:
            graph: in pixels.
            pixel_size: metres per pixel.
        """
        ends = degrees_of(graph.nodes * pixel_size)[graph.edges]
        lengths = metres_between(ends[:, 0], ends[:, 1])
        hops = np.where(lengths > _LONGEST_EDGE, (lengths / _HOP).astype(np.int64) + 1, 1)
        starts = np.cumsum(hops + 1) - (hops + 1)
        edge = np.repeat(np.arange(len(hops)), hops + 1)
        share = (np.arange(len(edge)) - starts[edge]) / hops[edge]
        places = ends[edge, 0] * (1 - share[:, None]) + ends[edge, 1] * share[:, None]
        first, number = numbered_rows(np.rint(places * 1e7).astype(np.int64))
        begins = np.delete(np.arange(len(edge)), starts + hops)
        pairs = np.stack([number[begins], number[begins + 1]], axis=1) if len(edge) else np.zeros((0, 2), np.int64)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        pairs = pairs[np.sort(np.unique(np.sort(pairs, axis=1), axis=0, return_index=True)[1])]
        places = places[first]
        neighbours: list[list[int]] = [[] for _ in places]
        for a, b in pairs.tolist():
            neighbours[a].append(b)
            neighbours[b].append(a)
        centimetres = (100 * metres_between(places[pairs[:, 0]], places[pairs[:, 1]])).astype(np.int64)
        return cls(places, neighbours, pairs, centimetres)

    @cached_property
    def tree(self) -> KDTree:
        """For searching nodes by their places in degrees."""
        return KDTree(self.places)

    @cached_property
    def chains(self) -> _Chains:
        """The graph of its crossings and ends."""
        return _Chains.of(self)

    def path_lengths(self, nodes: np.ndarray, rows: slice) -> np.ndarray:
        """Lengths of the shortest paths in metres from some of `nodes` `(n,)` to all of them.

        Returns:
            float64 `(rows, n)`; inf where there is no path.
        """
        return self.chains.path_lengths(nodes, rows)


def nodes_within(neighbours: Sequence[Sequence[int]], start: int, hops: int) -> set[int]:
    """Nodes that are no more than `hops` edges away from one, and itself; alone if it is not in the graph."""
    found, border = {start}, [start]
    for _ in range(hops):
        around = (near for node in border if node < len(neighbours) for near in neighbours[node])
        border = [near for near in dict.fromkeys(around) if near not in found]
        found.update(border)
    return found


@dataclass(frozen=True, eq=False)
class _Chains:
    """Runs of nodes of degree 2 as single edges, so that paths are searched among crossings and ends only.

    Attributes:
        junctions: nodes that are crossings or ends, and one of each ring.
        network: sparse `(junctions, junctions)`, the shortest chain between two.
        chain: the chain of each node, `(n,)`.
        ends: the junctions at both ends of it, `(n, 2)`.
        offsets: whole centimetres to these along the chain, `(n, 2)`.
    """

    junctions: list[int]
    network: csr_matrix
    chain: np.ndarray
    ends: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, hops: RoadHops) -> _Chains:
        graph = RoadGraph(hops.places, hops.edges)
        centimetres = {}
        for (a, b), length in zip(hops.edges.tolist(), hops.lengths.tolist(), strict=True):
            centimetres[a, b] = centimetres[b, a] = length
        chains = graph.chains()
        junctions = sorted({int(node) for chain in chains for node in (chain[0], chain[-1])})
        number = {node: index for index, node in enumerate(junctions)}
        chain_of = np.full(len(hops.places), -1)
        ends, offsets = np.zeros((2, len(hops.places), 2), dtype=np.int64)
        shortest: dict[tuple[int, int], int] = {}
        for index, chain in enumerate(chains):
            nodes = chain.tolist()
            walked = np.cumsum([0, *(centimetres[pair] for pair in pairwise(nodes))])
            first, last, length = number[nodes[0]], number[nodes[-1]], int(walked[-1])
            pair = (min(first, last), max(first, last))
            shortest[pair] = min(length, shortest.get(pair, length))
            chain_of[chain[1:-1]] = index
            ends[chain[1:-1]] = first, last
            offsets[chain[1:-1]] = np.stack([walked, length - walked], axis=1)[1:-1]
        ends[junctions] = np.arange(len(junctions))[:, None]
        pairs = np.array([pair for pair in shortest if pair[0] != pair[1]], dtype=np.int64).reshape(-1, 2)
        values = np.array([shortest[tuple(pair)] for pair in pairs.tolist()], dtype=np.float64)
        shape = (len(junctions), len(junctions))
        return cls(junctions, csr_matrix((values, (pairs[:, 0], pairs[:, 1])), shape=shape), chain_of, ends, offsets)

    def path_lengths(self, nodes: np.ndarray, rows: slice) -> np.ndarray:
        """As `RoadHops.path_lengths`."""
        ends, offsets, chain = self.ends[nodes], self.offsets[nodes], self.chain[nodes]
        sources, source_of = np.unique(ends[rows], return_inverse=True)
        between = dijkstra(self.network, directed=False, indices=sources)
        source_of = source_of.reshape(-1, 2)
        lengths = np.full((len(source_of), len(nodes)), np.inf)
        for ours in range(2):
            to_ends = between[source_of[:, ours]]
            for theirs in range(2):
                found = to_ends[:, ends[:, theirs]]
                found += offsets[rows, ours, None]
                found += offsets[None, :, theirs]
                np.minimum(lengths, found, out=lengths)
        same, other = np.nonzero((chain[rows, None] == chain) & (chain[rows, None] >= 0))
        along = np.abs(offsets[rows][same, 0] - offsets[other, 0])
        lengths[same, other] = np.minimum(lengths[same, other], along)
        return lengths / 100
