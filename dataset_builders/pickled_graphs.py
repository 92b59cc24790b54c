"""What the published datasets of road graphs share: a pickled graph beside each image."""

from __future__ import annotations

from dataclasses import dataclass

from .graph_builder import GraphReader
from .graph_pickles import parse_pickled_graph
from .road_graph import RoadGraph
from .samples import ImageFile

__all__ = ["GRAPH_FILES", "PickleReader"]

GRAPH_FILES = {"refined": "_refine_gt_graph.p", "original": "_graph_gt.pickle"}
"""Ends of the names of graphs by configuration: models are trained on the refined ones and scored on the others."""


@dataclass(frozen=True)
class PickleReader(GraphReader):
    """Graphs from pickles of {(row, column): [(row, column)]}, read without running anything.

    Attributes:
        from_below: whether rows are counted upwards from the lower edge of the image, as SpaceNet has them.
    """

    from_below: bool = False

    def graph(self, location: str, image: ImageFile) -> RoadGraph:
        graph = parse_pickled_graph(self.storage.read(location), location)
        if not self.from_below:
            return graph
        return RoadGraph(graph.nodes * (1, -1) + (0, image.header.size[1]), graph.edges)
