"""Pieces of a dataset: a shard is what one process reads in a row, a block is what is read at once.

A block knows its number of rows and loads into a sequence of raw samples: dictionaries whose images are still encoded
(`{"bytes", "path"}`). Everything here can be pickled; nothing is read before `load`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from .errors import DamagedShardError
from .shard_format import FILES_PER_BLOCK

Record = tuple[str, ...]
Sample = dict


class Block(Protocol):
    """A part of a shard with a known number of rows.

    Attributes:
        name: for messages.
        num_rows: number of samples.
        random_access: whether one row can be read without the others; otherwise `load` holds the block in memory.
    """

    name: str
    num_rows: int
    random_access: bool

    def load(self) -> Sequence[Sample]:
        """The raw samples; indexing may raise `SampleError`."""


class Shard(Protocol):
    """A file, or a run of files, that one process reads from its beginning to its end."""

    name: str

    def blocks(self) -> Sequence[Block]:
        """The shard's blocks, for reading them in any order. Needs the sizes, which may take a look at the file."""

    def stream(self) -> Iterator[Sequence[Sample]]:
        """The samples from first to last, a bounded number at a time."""


class SampleReader(Protocol):
    """Turns a record (paths relative to the data directory) into a raw sample."""

    def read(self, record: Record) -> Sample: ...


def require_rows(block: Block, found: int, what: str = "samples") -> None:
    """Raise a DamagedShardError unless a block has as many rows as its shard or the index said."""
    if found != block.num_rows:
        raise DamagedShardError(f"{block.name}: {found} {what}, expected {block.num_rows}")


class LazyRows(Sequence):
    """Samples that are read from their own files when they are indexed."""

    def __init__(self, records: Sequence[Record], reader: SampleReader) -> None:
        self._records, self._reader = records, reader

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, row: int) -> Sample:
        return self._reader.read(self._records[row])


class SingleFiles:
    """Base of shards whose samples lie in files of their own. Such a shard is its own only block.

    Attributes:
        records: the paths of each sample.
        reader: what reads them.
    """

    records: Sequence[Record]
    reader: SampleReader
    random_access = True

    def load(self) -> Sequence[Sample]:
        return LazyRows(self.records, self.reader)

    def blocks(self) -> Sequence[Block]:
        return [self]

    def stream(self) -> Iterator[Sequence[Sample]]:
        yield self.load()


@dataclass(frozen=True)
class FileShard(SingleFiles):
    """Samples in files of their own, named one by one."""

    name: str
    records: tuple[Record, ...]
    reader: SampleReader

    @property
    def num_rows(self) -> int:
        return len(self.records)


def file_shards(name: str, records: Sequence[Record], reader: SampleReader) -> list[FileShard]:
    """`records` in runs of `FILES_PER_BLOCK`."""
    return [
        FileShard(f"{name}[{start}:]", tuple(records[start : start + FILES_PER_BLOCK]), reader)
        for start in range(0, len(records), FILES_PER_BLOCK)
    ]
