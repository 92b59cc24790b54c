"""Base of the labelled segmentation datasets: pairs of an image and a mask."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import Features

from .builder import Builder
from .features import segmentation_features
from .layouts import COMMON_LAYOUTS, Layout, find_records
from .masks import MaskEncoding
from .samples import SegmentationReader
from .shards import Shard, file_shards
from .split_lists import list_shards
from .storage import join

SPLIT_NAMES = ("train", "val", "trainval", "test")


class SegmentationBuilder(Builder):
    """Finds image and mask pairs in split lists (`train.txt` with `image mask` lines) or by the known layouts.

    Attributes:
        LAYOUTS: where publishers put the files, tried in order.
        ENCODING: how masks encode class ids.
        SPLIT_LISTS: whether `train.txt` and the like name image and mask pairs.
    """

    LAYOUTS: tuple[Layout, ...] = COMMON_LAYOUTS
    ENCODING = MaskEncoding()
    SPLIT_LISTS = True

    def columns(self) -> Features:
        return segmentation_features()

    def encoding(self, layout: Layout | None) -> MaskEncoding:
        """How masks encode class ids in files of this layout (`None`: named by a split list or a CSV file)."""
        return self.ENCODING

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        lists = {split: f"{split}.txt" for split in SPLIT_NAMES if f"{split}.txt" in files}
        if self.SPLIT_LISTS and lists:
            reader = SegmentationReader(self.storage, root, self.encoding(None))
            return {split: list_shards(self.storage, join(root, name), reader) for split, name in lists.items()}
        layout, records = find_records(self.LAYOUTS, files, root, self.DATASET)
        reader = SegmentationReader(self.storage, root, self.encoding(layout))
        return {split: file_shards(f"{self.DATASET} {split}", pairs, reader) for split, pairs in records.items()}
