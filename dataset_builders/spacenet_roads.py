"""SpaceNet roads: road graphs on images of 400 px, and the test set of GlobalRoadSet, which draws them as masks."""

from __future__ import annotations

import json
from collections.abc import Sequence

from datasets import Features

from .binary_masks import ROAD_TEST, BinaryEncoding
from .builder import BuilderConfig
from .errors import LayoutError, SampleError
from .features import road_graph_features
from .pickled_graphs import PickleReader
from .registry import get_entry
from .segmentation_builder import SegmentationBuilder
from .shards import Record, Shard
from .storage import join

GRAPHS = "graphs"
SPLIT_FILE = "dataset.json"
_SPLITS = {"train": "train", "validation": "val", "valid": "val", "val": "val", "test": "test"}
_IMAGE_END, _GRAPH_END = "__rgb.png", "__gt_graph.p"


class SpaceNetRoads(SegmentationBuilder):
    """Masks in folders `img` and `gt`; with the configuration `graphs`, the files `ID__rgb.png` and `ID__gt_graph.p`.

    `dataset.json` beside the latter names the ids of each split. SpaceNet itself publishes lines, no masks.
    """

    DATASET = "s5-spacenet-roads"
    RELEASE_FOLDERS = ("SpaceNet_test_567", "GlobalRoadSet_Val/SpaceNet_test_567", "RGB_1.0_meter", "spacenet")
    BUILDER_CONFIGS = tuple(BuilderConfig(name=name) for name in get_entry("s5-spacenet-roads").configs)
    DEFAULT_CONFIG_NAME = "default"
    LAYOUTS = (ROAD_TEST,)
    ENCODING = BinaryEncoding()

    def columns(self) -> Features:
        return road_graph_features() if self.config.name == GRAPHS else super().columns()

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        if self.config.name == GRAPHS:
            return self.file_shards(
                self._graph_records(root, set(files)), PickleReader(self.storage, root, from_below=True)
            )
        if any(path.endswith(_GRAPH_END) for path in files):
            raise LayoutError(
                f"{root} holds road graphs, not masks; load them with load_dataset({self.DATASET!r}, {GRAPHS!r}, ...)"
            )
        return super().find_file_shards(root, files)

    def _graph_records(self, root: str, files: set[str]) -> dict[str, list[Record]]:
        """(image, graph, id) by split, in the order of the split file.

        Raises:
            LayoutError: there is no split file, or a file that it names is missing.
            SampleError: it does not hold lists of ids.
        """
        if SPLIT_FILE not in files:
            raise LayoutError(
                f"{root} has no {SPLIT_FILE}, which names the ids of train, validation and test, beside "
                f"ID{_IMAGE_END} and ID{_GRAPH_END}"
            )
        found: dict[str, list[Record]] = {}
        for split, names in _split_lists(self.storage.read_text(join(root, SPLIT_FILE)), join(root, SPLIT_FILE)):
            for name in names:
                record = (f"{name}{_IMAGE_END}", f"{name}{_GRAPH_END}", name)
                missing = [path for path in record[:2] if path not in files]
                if missing:
                    raise LayoutError(f"{root} has no file {missing[0]}, which {SPLIT_FILE} names for {split}")
                found.setdefault(split, []).append(record)
        return found


def _split_lists(text: str, name: str) -> list[tuple[str, list[str]]]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise SampleError(f"{name}: not JSON: {error}") from error
    known = content.items() if isinstance(content, dict) else ()
    lists = [(_SPLITS[split], names) for split, names in known if split in _SPLITS]
    if not lists or not all(isinstance(ids, list) and all(isinstance(one, str) for one in ids) for _, ids in lists):
        raise SampleError(f"{name}: expected an object with lists of ids for train, validation and test")
    return lists
