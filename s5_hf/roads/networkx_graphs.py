"""Road graphs as graphs of networkx (the extra `graphs`), and so as GraphML files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dataset_builders.road_graph import RoadGraph

if TYPE_CHECKING:
    import networkx

__all__ = ["from_networkx", "read_graphml", "require_networkx", "to_networkx", "write_graphml"]


def to_networkx(graph: RoadGraph, fields: Mapping[str, np.ndarray] | None = None) -> networkx.Graph:
    """The same graph for networkx: nodes 0..n-1 with `x` and `y`, edges with `length` and further fields.

    Args:
        graph: in pixels or any other unit.
        fields: values `(m,)` of the edges by name.

    Raises:
        ImportError: networkx is not installed.
    """
    networkx = _networkx()
    made = networkx.Graph()
    made.add_nodes_from((index, {"x": x, "y": y}) for index, (x, y) in enumerate(graph.nodes.tolist()))
    columns = {"length": graph.lengths(), **(fields or {})}
    for row, (first, second) in enumerate(graph.edges.tolist()):
        made.add_edge(first, second, **{name: values[row].item() for name, values in columns.items()})
    return made


def from_networkx(graph: networkx.Graph, name: str = "the graph") -> RoadGraph:
    """The road graph of a networkx graph whose nodes have `x` and `y`, in the order of its nodes and edges.

    Directions and parallel edges are not kept.

    Raises:
        ValueError: a node lacks `x` or `y`, or has others than finite numbers.
    """
    index = {node: number for number, node in enumerate(graph)}
    places = []
    for node, data in graph.nodes(data=True):
        try:
            places.append((float(data["x"]), float(data["y"])))
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{name}: node {node!r} lacks numbers x and y, it has {str(data)[:100]}") from None
    return RoadGraph.repaired(places, [(index[first], index[second]) for first, second in graph.edges()], name)


def write_graphml(path: Path, graph: RoadGraph, fields: Mapping[str, np.ndarray] | None = None) -> None:
    """Write a GraphML file, in place."""
    made = to_networkx(graph, fields)
    _networkx().write_graphml(made, path)


def read_graphml(path: Path) -> RoadGraph:
    """Read a GraphML file whose nodes have `x` and `y`.

    Raises:
        ValueError: it is not such a file.
    """
    networkx = _networkx()
    from xml.etree.ElementTree import ParseError

    try:
        return from_networkx(networkx.read_graphml(path), str(path))
    except (ParseError, networkx.NetworkXError) as error:
        raise ValueError(f"{path} is not a GraphML file: {error}") from error


def require_networkx() -> None:
    """Raise an ImportError that says what to install where networkx is missing."""
    _networkx()


def _networkx() -> Any:
    try:
        import networkx
    except ImportError as error:
        raise ImportError('graphs of networkx need networkx. Install with: pip install "s5_hf[graphs]"') from error
    return networkx
