"""City-Scale: road graphs of 20 cities of the USA on 180 images of 2048 px at 1 m."""

from __future__ import annotations

from collections.abc import Mapping

from .builder import BuilderConfig
from .graph_builder import GraphBuilder
from .layouts import IMAGE, Layout
from .pickled_graphs import GRAPH_FILES, PickleReader
from .registry import get_entry


def city_split(groups: Mapping[str, str]) -> str:
    """The split of a region from its number: 144 of 180 train, 9 are val, 27 test."""
    number = int(groups["number"])
    if number % 10 < 8:
        return "train"
    return "val" if number % 20 == 18 else "test"


class CityScaleRoads(GraphBuilder):
    """The folder `20cities`; the configuration chooses the graph, as `GRAPH_FILES` says."""

    DATASET = "s5-cityscale-roads"
    RELEASE_FOLDERS = ("20cities", "cityscale/20cities")
    BUILDER_CONFIGS = tuple(BuilderConfig(name=name) for name in get_entry("s5-cityscale-roads").configs)
    DEFAULT_CONFIG_NAME = "refined"

    def layouts(self) -> tuple[Layout, ...]:
        suffix = GRAPH_FILES[self.config.name]
        return (
            Layout(
                description=f"region_N_sat.png, region_N{suffix}",
                images=rf"region_(?P<number>\d+)_sat{IMAGE}",
                labels=rf"region_(?P<number>\d+){suffix.replace('.', '[.]')}",
                split_of=city_split,
                identity=lambda groups: f"region_{groups['number']}",
            ),
        )

    def reader(self, root: str) -> PickleReader:
        return PickleReader(self.storage, root)
