"""Your own images, of any number of bands and any depth, with roads as lines in GeoJSON files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from datasets import Features

from .builder import BandConfig
from .features import road_graph_features
from .graph_builder import GraphBuilder, GraphReader
from .graph_lines import graph_of_lines, image_grid, parse_lines
from .layouts import IMAGE, SPLIT, Layout, always_train
from .road_graph import RoadGraph
from .samples import ImageFile
from .shards import Shard


@dataclass(frozen=True)
class LineReader(GraphReader):
    """Graphs from GeoJSON lines: in pixels, or in a CRS where the image has one."""

    def graph(self, location: str, image: ImageFile) -> RoadGraph:
        lines = parse_lines(self.storage.read_text(location), location)
        return graph_of_lines(lines, image_grid(image.content, image.header.size, image.location), location)


class ImageGraph(GraphBuilder):
    """`{train,val,test}/images/NAME.png` and `lines/NAME.geojson`, or both folders without splits (all in train)."""

    BUILDER_CONFIG_CLASS = BandConfig
    BUILDER_CONFIGS = (BandConfig(name="default"),)
    DATASET = "s5-image-graph"
    LAYOUTS = (
        Layout(
            description="{train,val,test}/images/NAME.png, {train,val,test}/lines/NAME.geojson",
            images=rf"{SPLIT}/images/(?P<name>.+?){IMAGE}",
            labels=rf"{SPLIT}/lines/(?P<name>.+?)\.(?:geo)?json",
        ),
        Layout(
            description="images/NAME, lines/NAME.geojson, all in train",
            images=rf"images/(?P<name>.+?){IMAGE}",
            labels=r"lines/(?P<name>.+?)\.(?:geo)?json",
            split_of=always_train,
        ),
    )

    def columns(self) -> Features:
        return road_graph_features(self.config.reading.column)

    def reader(self, root: str) -> LineReader:
        return LineReader(self.storage, root, bands=self.config.reading)

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        found = super().find_file_shards(root, files)
        first = next(shard for shards in found.values() for shard in shards)
        reader = first.reader.matching(first.records[0])
        return {split: [replace(shard, reader=reader) for shard in shards] for split, shards in found.items()}
