"""Base of the datasets of road graphs: pairs of an image and a file with its graph.

The builders of single datasets look alike because each says only where files lie and how they hold a graph.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from datasets import Features

from .builder import Builder
from .features import road_graph_features
from .layouts import Layout, find_records
from .road_graph import RoadGraph
from .samples import ImageFile, ImageReader
from .shards import Record, Sample, Shard
from .storage import join


@dataclass(frozen=True)
class GraphReader(ImageReader, ABC):
    """Reads (image, graph, id) records; subclasses know the form of the graphs."""

    def read(self, record: Record) -> Sample:
        image = self.image(record[0])
        graph = self.graph(join(self.root, record[1]), image)
        nodes, edges = graph.nodes.tolist(), graph.edges.tolist()
        return {"image": image.value, "nodes": nodes, "edges": edges, "id": record[2]}

    @abstractmethod
    def graph(self, location: str, image: ImageFile) -> RoadGraph:
        """The graph of a file, in pixels of its image.

        Raises:
            SampleError: the file is not what it should be; the message names it.
        """


class GraphBuilder(Builder):
    """Finds image and graph pairs by the known layouts.

    Attributes:
        LAYOUTS: where the files may be, tried in order.
    """

    LAYOUTS: tuple[Layout, ...] = ()

    def layouts(self) -> Sequence[Layout]:
        """The layouts of the chosen configuration."""
        return self.LAYOUTS

    def columns(self) -> Features:
        return road_graph_features()

    @abstractmethod
    def reader(self, root: str) -> GraphReader:
        """What turns records below `root` into samples."""

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        return self.file_shards(find_records(self.layouts(), files, root, self.DATASET)[1], self.reader(root))
