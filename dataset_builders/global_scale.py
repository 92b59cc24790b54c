"""Global-Scale: road graphs all over the world on 3468 images of 2048 px at 1 m (SAM-Road++, arXiv 2411.16733)."""

from __future__ import annotations

from collections.abc import Mapping

from .builder import BuilderConfig
from .graph_builder import GraphBuilder
from .layouts import IMAGE, Layout
from .pickled_graphs import GRAPH_FILES, PickleReader
from .registry import get_entry

_FOLDERS = {"in": "test", "test": "test", "out": "test_out_of_domain", "val": "val", "validation": "val"}
_LAST_TRAIN, _LAST_VAL, _LAST_TEST = 2374, 2713, 3337


def global_split(groups: Mapping[str, str]) -> str | None:
    """The split of a region: from its folder; without one, or in `train`, from its number."""
    folder, number = (groups["folder"] or "").lower(), int(groups["number"])
    if folder not in ("", "train"):
        return _FOLDERS[folder.split("-")[0].split("_")[0]]
    if number <= _LAST_TRAIN:
        return "train"
    return "val" if number <= _LAST_VAL else "test" if number <= _LAST_TEST else None


def _identity(groups: Mapping[str, str]) -> str:
    region = f"region_{groups['number']}"
    return f"{groups['folder']}/{region}" if groups["folder"] else region


class GlobalScale(GraphBuilder):
    """Regions numbered through, or folders of the splits; the configuration chooses the graph.

    Regions 0 to 2374 are train, to 2713 val and to 3337 test. Those out of domain are counted anew from 0 in a folder
    of their own.
    """

    DATASET = "s5-global-scale"
    RELEASE_FOLDERS = ("Global-Scale", "globalscale/Global-Scale")
    BUILDER_CONFIGS = tuple(BuilderConfig(name=name) for name in get_entry("s5-global-scale").configs)
    DEFAULT_CONFIG_NAME = "refined"

    def layouts(self) -> tuple[Layout, ...]:
        suffix = GRAPH_FILES[self.config.name]
        folder = (
            r"(?:(?P<folder>train|val|validation|test|in[-_]domain(?:[-_]test)?|out[-_]of[-_]domain(?:[-_]test)?)/)?"
        )
        return (
            Layout(
                description=f"region_N_sat.png and region_N{suffix}, as they are or in folders train, val, "
                "in-domain-test and out_of_domain",
                images=rf"{folder}region_(?P<number>\d+)_sat{IMAGE}",
                labels=rf"{folder}region_(?P<number>\d+){suffix.replace('.', '[.]')}",
                split_of=global_split,
                identity=_identity,
            ),
        )

    def reader(self, root: str) -> PickleReader:
        return PickleReader(self.storage, root)
