"""RS4P-1M: the curated unlabelled patches of S5, as files with split lists, as Parquet or as WebDataset shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasets import Features

from .builder import BandConfig, Builder
from .errors import LayoutError
from .features import curated_features
from .layouts import IMAGE, Layout, always_train, find_records
from .samples import CuratedReader
from .shards import Shard, file_shards
from .split_lists import list_shards
from .storage import join

DEFAULT_LIST = "train.txt"
LAYOUTS = (
    Layout(
        description="images/NAME and, where there are pseudo-masks, masks/NAME.png",
        images=rf"images/(?P<name>.+?){IMAGE}",
        labels=rf"masks/(?P<name>.+?){IMAGE}",
        split_of=always_train,
        without_labels=("train",),
    ),
)


@dataclass
class RS4PConfig(BandConfig):
    """Options beyond those of every builder.

    Attributes:
        split_list: a text file below `data_dir` with `image` or `image mask` per line, paths relative to `data_dir`.
            By default `train.txt`, or the only text file.
    """

    split_list: str | None = None


class RS4P1M(Builder):
    """One split, `train`. Pseudo-masks hold iSAID's class ids; entropy and cluster come from shards only."""

    BUILDER_CONFIG_CLASS = RS4PConfig
    BUILDER_CONFIGS = (RS4PConfig(name="default"),)
    DATASET = "rs4p-1m"
    RELEASE_FOLDERS = ("unlabeled/RS4P-1M", "RS4P-1M")

    def columns(self) -> Features:
        return curated_features(self.config.reading.column)

    def find_shards(self) -> dict[str, list[Shard]]:
        """As for every dataset; a split list that is named, or lies at `train.txt`, spares listing a million files."""
        if self.config.data_files is None:
            root, name = self.root(), self.config.split_list or DEFAULT_LIST
            if self.storage.exists(join(root, name)):
                return self._list_shards(root, name)
        return super().find_shards()

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        name = self.config.split_list or self._only_list(files)
        if name is None:
            reader = CuratedReader(self.storage, root, self.entry.title, bands=self.config.reading)
            records = find_records(LAYOUTS, files, root, self.DATASET)[1]["train"]
            return {"train": file_shards(self.DATASET, records, reader)}
        if name not in files:
            raise LayoutError(f"{root} has no split list {name}; its text files: {_text_files(files)}")
        return self._list_shards(root, name)

    def _list_shards(self, root: str, name: str) -> dict[str, list[Shard]]:
        reader = CuratedReader(self.storage, root, self.entry.title, bands=self.config.reading)
        return {"train": list_shards(self.storage, join(root, name), reader, columns=(1, 2))}

    @staticmethod
    def _only_list(files: Sequence[str]) -> str | None:
        lists = _text_files(files)
        return lists[0] if len(lists) == 1 else None


def _text_files(files: Sequence[str]) -> list[str]:
    return [path for path in files if path.endswith(".txt") and path.count("/") <= 1]
