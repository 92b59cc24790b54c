"""Base of the labelled segmentation datasets: pairs of an image and a mask.

The builders of single datasets look alike because each says only where files lie and how masks encode classes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from datasets import Features

from .builder import Builder
from .features import segmentation_features
from .label_shares import SHARE_SPLITS
from .layouts import COMMON_LAYOUTS, SPLIT_NAMES, Layout, find_records
from .masks import MaskEncoding
from .samples import SegmentationReader
from .shards import Record, Shard
from .split_lists import list_shards
from .storage import join

logger = logging.getLogger(__name__)


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

    def encoding(self, root: str, files: Sequence[str], masks: Sequence[str]) -> MaskEncoding:
        """How masks encode class ids.

        Args:
            root: the data directory.
            files: relative paths of all that it holds.
            masks: relative paths of the masks; empty for samples without one.
        """
        return self.ENCODING

    def reader(self, root: str, files: Sequence[str], masks: Sequence[str]) -> SegmentationReader:
        """What turns records below `root` into samples; says so if their masks were compressed with losses."""
        lossy = [mask for mask in masks if mask.lower().endswith((".jpg", ".jpeg"))]
        if lossy:
            logger.warning(
                "%s: %d masks are JPEG files, such as %s. JPEG changes values, so class ids near edges are not to be "
                "trusted; PNG and TIFF keep them",
                self.DATASET,
                len(lossy),
                join(root, lossy[0]),
            )
        return SegmentationReader(self.storage, root, self.encoding(root, files, masks))

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        lists = {split: f"{split}.txt" for split in (*SPLIT_NAMES, *SHARE_SPLITS) if f"{split}.txt" in files}
        if self.SPLIT_LISTS and lists:
            return self._listed_shards(root, files, lists)
        return self._shards(root, files, find_records(self.LAYOUTS, files, root, self.DATASET)[1])

    def _shards(
        self, root: str, files: Sequence[str], records: Mapping[str, Sequence[Record]]
    ) -> dict[str, list[Shard]]:
        """Shards of (image, mask, id) records by split."""
        reader = self.reader(root, files, [record[1] for pairs in records.values() for record in pairs])
        return self.file_shards(records, reader)

    def _listed_shards(self, root: str, files: Sequence[str], lists: dict[str, str]) -> dict[str, list[Shard]]:
        """Shards of the samples that split lists name."""
        unread = SegmentationReader(self.storage, root, MaskEncoding())
        found = {split: list_shards(self.storage, join(root, name), unread) for split, name in lists.items()}
        masks = [record[1] for shards in found.values() for shard in shards for record in shard.records]
        reader = self.reader(root, files, masks)
        return {split: [replace(shard, reader=reader) for shard in shards] for split, shards in found.items()}
