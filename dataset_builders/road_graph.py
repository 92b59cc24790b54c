"""A road graph in memory: where its nodes are, and which of them a road joins."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from reprlib import repr as shorten
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)

__all__ = ["RoadGraph", "numbered_rows"]


def numbered_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the different rows of an array `(n, columns)` in the order of their first appearance.

    Returns:
        Where each different row appears first, and the number of every row `(n,)`.
    """
    _, first, number = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[number.ravel()]


@dataclass(frozen=True, eq=False)
class RoadGraph:
    """An undirected graph on an image, without self-loops and without repeated edges.

    Attributes:
        nodes: float64 `(n, 2)`, x to the right and y down, in pixels from the outer corner of the first pixel.
        edges: int64 `(m, 2)`, each a pair of indices of nodes, in any order.

    Raises:
        ValueError: another shape, a position that is not finite, an edge to a node that does not exist, a self-loop or
            a repeated edge. `RoadGraph.repaired` mends the last two.
    """

    nodes: np.ndarray
    edges: np.ndarray

    def __post_init__(self) -> None:
        nodes, edges = _checked_arrays(self.nodes, self.edges)
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "edges", edges)
        loops = np.flatnonzero(edges[:, 0] == edges[:, 1])
        if len(loops):
            raise ValueError(f"edge {loops[0]} joins node {edges[loops[0], 0]} to itself")
        kept = _first_of_equal_edges(edges)
        if len(kept) < len(edges):
            repeated = np.setdiff1d(np.arange(len(edges)), kept)[0]
            raise ValueError(f"edge {repeated}, {edges[repeated].tolist()}, is there twice")

    @classmethod
    def repaired(
        cls, nodes: Any, edges: Any, name: str = "the graph", size: tuple[int, int] | None = None
    ) -> RoadGraph:
        """A graph of arrays that may hold slips; what is mended is logged as a warning.

        Self-loops and repeated edges are dropped. With `size`, edges are cut at the border of the image and nodes
        beyond it are dropped. Positions that would fit the image if x and y were swapped are warned of, not swapped.

        Args:
            nodes, edges: as the attributes.
            name: what the graph is called in warnings and errors.
            size: (width, height) of the image in pixels.

        Raises:
            ValueError: as the class, or if the graph has nodes and no part of it lies on the image.
        """
        try:
            nodes, edges = _checked_arrays(nodes, edges)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        kept = edges[edges[:, 0] != edges[:, 1]]
        if len(kept) < len(edges):
            logger.warning("%s: %d self-loops were dropped", name, len(edges) - len(kept))
        unique = kept[_first_of_equal_edges(kept)]
        if len(unique) < len(kept):
            logger.warning("%s: %d repeated edges were dropped", name, len(kept) - len(unique))
        graph = cls(nodes, unique)
        return graph if size is None else graph.within(size, name)

    @classmethod
    def from_adjacency(cls, adjacency: Mapping | Sequence, name: str = "the graph") -> RoadGraph:
        """The graph of published files, `{(row, column): [(row, column), ...]}`, repaired as `repaired` does.

        Nodes keep the order in which they are first named, keys before neighbours that are no key themselves; edges
        keep theirs. An edge that only one of its ends names counts.

        Args:
            adjacency: the dictionary, or its items.
            name: for warnings and errors.

        Raises:
            ValueError: a node is not a pair of finite numbers.
        """
        items = list(adjacency.items() if isinstance(adjacency, Mapping) else adjacency)
        index: dict[tuple[float, float], int] = {}
        for node, _ in items:
            index.setdefault(_position(node, name), len(index))
        seen: dict[tuple[int, int], tuple[int, int]] = {}
        loops = 0
        for node, neighbours in items:
            first = index[_position(node, name)]
            for neighbour in neighbours:
                second = index.setdefault(_position(neighbour, name), len(index))
                loops += first == second
                if first != second:
                    seen.setdefault((min(first, second), max(first, second)), (first, second))
        if loops:
            logger.warning("%s: %d self-loops were dropped", name, loops)
        nodes = np.array(list(index), dtype=np.float64).reshape(-1, 2)[:, ::-1]
        return cls(np.ascontiguousarray(nodes), np.array(list(seen.values()), dtype=np.int64).reshape(-1, 2))

    def adjacency(self) -> dict[tuple[float, float], list[tuple[float, float]]]:
        """The form of published files: `{(row, column): [(row, column), ...]}`; nodes at one place become one."""
        places = [(float(y), float(x)) for x, y in self.nodes]
        found: dict[tuple[float, float], list[tuple[float, float]]] = {place: [] for place in places}
        for first, second in self.edges.tolist():
            found[places[first]].append(places[second])
            found[places[second]].append(places[first])
        return found

    def degrees(self) -> np.ndarray:
        """How many edges end at each node, int64 `(n,)`."""
        return np.bincount(self.edges.ravel(), minlength=len(self.nodes)).astype(np.int64)

    def lengths(self) -> np.ndarray:
        """Length of each edge in pixels, float64 `(m,)`."""
        return np.linalg.norm(self.nodes[self.edges[:, 1]] - self.nodes[self.edges[:, 0]], axis=1)

    def chains(self) -> list[np.ndarray]:
        """Runs of edges through nodes of degree 2, each as the indices of its nodes from one end to the other.

        Ends are nodes whose degree is not 2. A ring without such a node begins and ends at its first node. Every edge
        is in one chain; isolated nodes are in none.
        """
        neighbours: list[list[int]] = [[] for _ in self.nodes]
        for first, second in self.edges.tolist():
            neighbours[first].append(second)
            neighbours[second].append(first)
        ends = [node for node, around in enumerate(neighbours) if len(around) not in (0, 2)]
        rings = [node for node, around in enumerate(neighbours) if len(around) == 2]
        passed: set[tuple[int, int]] = set()
        chains = []
        for start in (*ends, *rings):
            for step in neighbours[start]:
                if (start, step) in passed:
                    continue
                chain = [start, step]
                while len(neighbours[chain[-1]]) == 2 and chain[-1] != start:
                    first, second = neighbours[chain[-1]]
                    chain.append(second if first == chain[-2] else first)
                passed.update(pairwise(chain))
                passed.update(pairwise(reversed(chain)))
                chains.append(np.array(chain))
        return chains

    def within(self, size: tuple[int, int], name: str = "the graph") -> RoadGraph:
        """The part on an image of (width, height) pixels: edges are cut at its border.

        Raises:
            ValueError: the graph has nodes and no part of it lies on the image; the message says so if x and y look
                swapped.
        """
        outside = _outside(self.nodes, size)
        if not outside.any():
            return self
        swapped = not _outside(self.nodes[:, ::-1], size).any()
        hint = "; all would lie on it if x and y were swapped: positions are (x, y), not (row, column)"
        cut = _clipped(self, size)
        place = f"the image of {size[0]} x {size[1]} px"
        if not len(cut.nodes):
            first = self.nodes[np.argmax(outside)].tolist()
            raise ValueError(f"{name}: no part lies on {place}, the first node is at {first}{hint if swapped else ''}")
        logger.warning(
            "%s: %d of %d nodes lie outside %s, edges are cut at its border%s",
            name,
            outside.sum(),
            len(self.nodes),
            place,
            hint if swapped else "",
        )
        return cut


def _checked_arrays(nodes: Any, edges: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays of their types and shapes; empty lists count as empty graphs."""
    nodes = np.asarray(nodes, dtype=np.float64)
    edges = np.asarray(edges)
    nodes = nodes.reshape(0, 2) if not nodes.size else nodes
    edges = np.zeros((0, 2), dtype=np.int64) if not edges.size else edges
    for array, what in ((nodes, "nodes"), (edges, "edges")):
        if array.ndim != 2 or array.shape[1] != 2:
            raise ValueError(f"expected {what} of the shape (count, 2), got {array.shape}")
    if not np.issubdtype(edges.dtype, np.integer):
        raise ValueError(f"edges must be pairs of whole numbers, got {edges.dtype}")
    finite = np.isfinite(nodes).all(axis=1)
    if not finite.all():
        raise ValueError(f"node {np.argmin(finite)} is at {nodes[np.argmin(finite)].tolist()}")
    edges = edges.astype(np.int64)
    wrong = ((edges < 0) | (edges >= len(nodes))).any(axis=1)
    if wrong.any():
        raise ValueError(
            f"edge {np.argmax(wrong)} joins nodes {edges[np.argmax(wrong)].tolist()}, but there are {len(nodes)} nodes"
        )
    return nodes, edges


def _first_of_equal_edges(edges: np.ndarray) -> np.ndarray:
    """Indices of the edges that are not there before, in either direction, in their order."""
    return np.sort(np.unique(np.sort(edges, axis=1), axis=0, return_index=True)[1])


def _position(node: Any, name: str) -> tuple[float, float]:
    """(row, column) as floats."""
    try:
        row, column = (float(value) for value in node)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: {shorten(node)} is not a node, expected (row, column)") from None
    if not (np.isfinite(row) and np.isfinite(column)):
        raise ValueError(f"{name}: the node ({row}, {column}) has no place")
    return row, column


def _outside(nodes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return ((nodes < 0) | (nodes > np.asarray(size))).any(axis=1)


def _clipped(graph: RoadGraph, size: tuple[int, int]) -> RoadGraph:
    """The graph cut at the border: ends beyond it move along their edges onto it, and become nodes of their own."""
    inside = ~_outside(graph.nodes, size)
    number = np.cumsum(inside) - 1
    nodes, edges = list(graph.nodes[inside]), []
    for first, second in graph.edges.tolist():
        ends = [number[first] if inside[first] else -1, number[second] if inside[second] else -1]
        if -1 in ends:
            shares = _share_inside(graph.nodes[first], graph.nodes[second], size)
            if shares is None:
                continue
            for end, share in enumerate(shares):
                if ends[end] == -1:
                    ends[end] = len(nodes)
                    point = graph.nodes[first] + share * (graph.nodes[second] - graph.nodes[first])
                    nodes.append(np.clip(point, 0, size))
        edges.append(ends)
    return RoadGraph(np.array(nodes).reshape(-1, 2), np.array(edges, dtype=np.int64).reshape(-1, 2))


def _share_inside(start: np.ndarray, end: np.ndarray, size: tuple[int, int]) -> tuple[float, float] | None:
    """From which to which share of its length a segment lies on the image; None where nothing does (Liang-Barsky)."""
    first, last = 0.0, 1.0
    for position, step, side in zip(start, end - start, size, strict=True):
        if step == 0:
            if not 0 <= position <= side:
                return None
            continue
        low, high = sorted(((0 - position) / step, (side - position) / step))
        first, last = max(first, low), min(last, high)
    return (first, last) if first < last else None
