"""Base of the datasets of changes: two dates of one place, and a mask of what changed.

The builders of single datasets look alike because each says only where files lie and how masks encode classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from datasets import Features

from .binary_masks import BinaryEncoding
from .builder import Builder
from .features import pair_features
from .layouts import find_records
from .masks import MaskEncoding
from .pair_layouts import PairLayout
from .pair_samples import DatesReader, PairReader
from .shards import Shard


class PairBuilder(Builder):
    """Finds both dates and their mask by the known layouts.

    Attributes:
        LAYOUTS: where publishers put the files, tried in order.
        ENCODING: how masks encode class ids.
    """

    LAYOUTS: tuple[PairLayout, ...]
    ENCODING: MaskEncoding = BinaryEncoding()

    def columns(self) -> Features:
        return pair_features()

    def reader(self, root: str) -> DatesReader:
        """What turns records below `root` into samples."""
        return PairReader(self.storage, root, self.ENCODING)

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        records = find_records(self.LAYOUTS, files, root, self.DATASET)[1]
        return self.file_shards(records, self.reader(root))
