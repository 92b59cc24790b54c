"""The blocks of a dataset that is loaded already: those of its shards, or the whole of a map-style one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasets import Dataset, IterableDataset
from datasets.iterable_dataset import ExamplesIterable

from .shards import Block, Sample, Shard


@dataclass(frozen=True)
class _MapBlock:
    """A whole map-style dataset as one block."""

    dataset: Sequence
    name: str = "the map-style dataset"
    random_access: bool = True

    @property
    def num_rows(self) -> int:
        return len(self.dataset)

    def load(self) -> Sequence[Sample]:
        return self.dataset


class _ArrowRows(Sequence):
    """Rows of a `datasets.Dataset` with images still encoded."""

    def __init__(self, dataset: Dataset) -> None:
        self._table = dataset.with_format("arrow")

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, row: int) -> Sample:
        return self._table[row].to_pylist()[0]


def blocks_of(dataset: IterableDataset | Dataset | Sequence) -> list[Block]:
    """The blocks of a dataset that `load_dataset` returned, or of a map-style one.

    Raises:
        TypeError: if the dataset is of another kind, or was mapped, filtered or shuffled before.
    """
    if isinstance(dataset, IterableDataset):
        return [block for shard in _shards_of(dataset._ex_iterable) for block in shard.blocks()]
    if isinstance(dataset, Dataset) and dataset.format["type"] is None:
        return [_MapBlock(_ArrowRows(dataset))]
    if hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__"):
        return [_MapBlock(dataset)]
    raise TypeError(f"expected a dataset from load_dataset or a map-style one, got {type(dataset).__name__}")


def _shards_of(examples: object) -> list[Shard]:
    """The shards that a builder of the registry put into a streaming dataset, through concatenations of splits."""
    parts = getattr(examples, "ex_iterables", None)
    if parts is not None:
        return [shard for part in parts for shard in _shards_of(part)]
    if not isinstance(examples, ExamplesIterable) or "shards" not in examples.kwargs:
        raise TypeError(
            "the stream takes a streaming dataset as load_dataset returned it for a name of the registry, before map, "
            f"filter or shuffle (pass transform=... instead); got {type(examples).__name__}"
        )
    return examples.kwargs["shards"]
