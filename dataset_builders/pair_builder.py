"""Base of the datasets of changes: two dates of one place, and a mask of what changed.

The builders of single datasets look alike because each says only where files lie and how masks encode classes.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from datasets import Features

from .binary_masks import BinaryEncoding
from .builder import Builder
from .errors import LayoutError
from .features import pair_features
from .layouts import SPLIT_NAMES, find_records
from .masks import MaskEncoding
from .pair_layouts import PairLayout, three_folders
from .pair_samples import DatesReader, PairReader
from .shards import Record, Shard
from .storage import join

PREPARED = three_folders("before", "after", "mask")
"""What `s5-hf prepare` writes, and the layout of users' own pairs."""

PREPARED_ENCODING = MaskEncoding({0: 0, 1: 1, 255: 255})


class PairBuilder(Builder):
    """Finds both dates and their mask by the known layouts.

    Attributes:
        LAYOUTS: where publishers put the files, tried in order after `PREPARED`.
        ENCODING: how masks encode class ids.
    """

    LAYOUTS: tuple[PairLayout, ...]
    ENCODING: MaskEncoding = BinaryEncoding()

    def columns(self) -> Features:
        return pair_features()

    @classmethod
    def encoding_of(cls, mask: str) -> MaskEncoding:
        """How the mask at a path or URL encodes class ids."""
        return cls.ENCODING

    def reader(self, root: str) -> DatesReader:
        """What turns records below `root` into samples."""
        return PairReader(self.storage, root, self.ENCODING)

    def prepared_reader(self, root: str) -> DatesReader:
        """The same for files in the layout `PREPARED`, whose masks hold class ids."""
        return PairReader(self.storage, root, PREPARED_ENCODING)

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        layout, records = find_records((PREPARED, *self.LAYOUTS), files, root, self.DATASET)
        reader = self.prepared_reader(root) if layout is PREPARED else self.reader(root)
        return self.file_shards(records, reader)


class ListedPairBuilder(PairBuilder):
    """Also reads `A/NAME`, `B/NAME` and `label/NAME` by the names in `list/{train,val,test}.txt`, one per line."""

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        lists = {split: f"list/{split}.txt" for split in SPLIT_NAMES if f"list/{split}.txt" in files}
        if not lists:
            return super().find_file_shards(root, files)
        available = set(files)
        records = {split: self._listed(root, name, available) for split, name in lists.items()}
        return self.file_shards(records, self.reader(root))

    def _listed(self, root: str, name: str, available: set[str]) -> list[Record]:
        """The records of the names in a list.

        Raises:
            LayoutError: if a file of one is missing.
        """
        records = []
        for line in filter(None, map(str.strip, self.storage.read_text(join(root, name)).splitlines())):
            paths = tuple(f"{folder}/{line}" for folder in ("A", "B", "label"))
            if missing := [path for path in paths if path not in available]:
                raise LayoutError(f"{join(root, name)} names {line}, but there is no file {missing[0]}")
            records.append((*paths, posixpath.splitext(line)[0]))
        return records
