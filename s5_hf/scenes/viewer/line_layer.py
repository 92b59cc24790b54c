"""Lines on a scene, such as its roads, as a path that a page draws."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...dataset_builders.graph_lines import ImageGrid
from ...roads.graphs import read_graph
from ..class_maps import ClassMap

__all__ = ["LineLayer", "line_layer"]


@dataclass(frozen=True)
class LineLayer:
    """Lines to draw.

    Attributes:
        name: of the file.
        count: how many lines there are.
        path: of SVG, in pixels of the scene.
    """

    name: str
    count: int
    path: str


def line_layer(path: str | Path, class_map: ClassMap) -> LineLayer:
    """Read the lines of a file that lie on a class map.

    Args:
        path: `.geojson`, `.gpkg` or `.graphml`; in a CRS, or in pixels.
        class_map: whose pixels they become.

    Raises:
        FileNotFoundError, ImportError, OSError, ValueError: as `read_graph`; also where no line lies on the map.
    """
    path = Path(path)
    grid = ImageGrid((class_map.width, class_map.height), class_map.crs, class_map.transform)
    graph = read_graph(path, grid)
    chains = [graph.nodes[chain] for chain in graph.chains()]
    return LineLayer(path.name, len(chains), "".join(_command(chain) for chain in chains))


def _command(points: np.ndarray) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points.round(1).tolist())
