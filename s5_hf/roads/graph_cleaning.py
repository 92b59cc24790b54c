"""Fewer vertices and no stubs: road graphs made simpler, with the values of their edges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from ..dataset_builders.road_graph import RoadGraph
from ..imaging.line_simplification import farthest_vertex, kept_vertices

__all__ = ["simplified_graph", "without_isolated_nodes", "without_stubs"]

Fields = Mapping[str, np.ndarray]


def simplified_graph(
    graph: RoadGraph, tolerance: float, fields: Fields | None = None
) -> tuple[RoadGraph, dict[str, np.ndarray]]:
    """The graph with fewer nodes along its roads (Douglas and Peucker 1973); crossings and ends stay where they are.

    Roads with common ends stay apart, and rings stay rings, however large the tolerance.

    Args:
        graph: in pixels.
        tolerance: no node that goes lies farther than this from the line that stays, in pixels.
        fields: values `(m,)` of the edges by name.

    Returns:
        The graph without the nodes that nothing needs any more, and its fields: means over the edges that one stands
        for, weighted by length.

    Raises:
        ValueError: the tolerance is negative or not a number.
    """
    _require_length(tolerance, "simplify")
    fields = dict(fields or {})
    lengths, row_of = graph.lengths(), _rows_of_edges(graph)
    edges: list[tuple[int, int]] = []
    values: dict[str, list[float]] = {name: [] for name in fields}
    chains = graph.chains()
    taken = {_ends_of(chain) for chain in chains if len(chain) == 2}
    for chain in chains:
        kept = kept_vertices(graph.nodes[chain], tolerance, is_ring=chain[0] == chain[-1])
        if len(kept) == 2 < len(chain):
            if _ends_of(chain) in taken:
                kept = [0, farthest_vertex(graph.nodes[chain])[0], len(chain) - 1]
            taken.add(_ends_of(chain))
        rows = [row_of[pair] for pair in pairwise(chain.tolist())]
        for start, end in pairwise(kept):
            edges.append((int(chain[start]), int(chain[end])))
            part = rows[start:end]
            weights = lengths[part] if lengths[part].sum() > 0 else None
            for name in fields:
                values[name].append(float(np.average(np.asarray(fields[name])[part], weights=weights)))
    alone = np.flatnonzero(graph.degrees() == 0)
    return _compact(graph, edges, alone), {name: np.array(column) for name, column in values.items()}


def without_stubs(
    graph: RoadGraph, length: float, fields: Fields | None = None
) -> tuple[RoadGraph, dict[str, np.ndarray]]:
    """The graph without short dead ends: roads from a crossing to an end that are shorter than `length`.

    The shortest goes first, and what it hung on may then be part of a longer road, which stays. Roads that hang on
    nothing at either end go too if they are shorter.

    Args:
        graph: in pixels.
        length: in pixels.
        fields: values `(m,)` of the edges by name.

    Raises:
        ValueError: the length is negative or not a number.
    """
    _require_length(length, "prune")
    fields = {name: np.asarray(values) for name, values in (fields or {}).items()}
    row_of = _rows_of_edges(graph)
    kept = np.ones(len(graph.edges), dtype=bool)
    while True:
        current = RoadGraph(graph.nodes, graph.edges[kept])
        degrees, lengths = current.degrees(), graph.lengths()
        stubs = []
        for chain in current.chains():
            rows = [row_of[pair] for pair in pairwise(chain.tolist())]
            measured = float(lengths[rows].sum())
            if measured < length and 1 in (degrees[chain[0]], degrees[chain[-1]]):
                stubs.append((measured, int(chain[0]), int(chain[-1]), rows))
        touched: set[int] = set()
        for _, first, last, rows in sorted(stubs, key=lambda stub: stub[:3]):
            if first not in touched and last not in touched:  # others at the same crossing may now be longer
                kept[rows] = False
                touched |= {first, last}
        if not touched:
            break
    alone = np.flatnonzero(graph.degrees() == 0)
    pruned = _compact(graph, graph.edges[kept].tolist(), alone)
    return pruned, {name: values[kept] for name, values in fields.items()}


def without_isolated_nodes(graph: RoadGraph) -> RoadGraph:
    """The graph without the nodes that no road joins."""
    return _compact(graph, graph.edges.tolist(), np.zeros(0, dtype=np.int64))


def _compact(graph: RoadGraph, edges: list, alone: np.ndarray) -> RoadGraph:
    """The nodes that edges need, and those in `alone`, renumbered in their order."""
    edges = np.array(edges, dtype=np.int64).reshape(-1, 2)
    needed = np.union1d(edges.reshape(-1), alone).astype(np.int64)
    return RoadGraph(graph.nodes[needed], np.searchsorted(needed, edges))


def _ends_of(chain: np.ndarray) -> tuple[int, int]:
    return min(int(chain[0]), int(chain[-1])), max(int(chain[0]), int(chain[-1]))


def _rows_of_edges(graph: RoadGraph) -> dict[tuple[int, int], int]:
    return {pair: row for row, (a, b) in enumerate(graph.edges.tolist()) for pair in ((a, b), (b, a))}


def _require_length(value: float, name: str) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number of pixels from 0 on, got {value}")
