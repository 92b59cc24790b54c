"""Pieces of a dataset: a shard is what one process reads in a row, a block is what is read at once.

A block knows its number of rows and loads into a sequence of raw samples: dictionaries whose images are still encoded
(`{"bytes", "path"}`). Everything here can be pickled; nothing is read before `load`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import DamagedShardError
from .shard_format import FILES_PER_BLOCK
from .storage import Storage

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


class PackedFile(ABC):
    """Base of shards that are one file with many samples, of which a block is a part.

    Attributes:
        location: local path or URL.
        storage: how it is read.
    """

    location: str
    storage: Storage

    @property
    def name(self) -> str:
        return self.location

    @abstractmethod
    def part_name(self, part: Any) -> str:
        """What a part is called in messages."""

    @abstractmethod
    def load_part(self, part: Any, name: str) -> Sequence[Sample]:
        """The samples of a part; `name` is that of its block, for messages."""

    @abstractmethod
    def blocks(self) -> Sequence[Block]:
        """The blocks of the file."""

    def stream(self) -> Iterator[Sequence[Sample]]:
        for block in self.blocks():
            yield block.load()


@dataclass(frozen=True)
class PackedBlock:
    """A part of a file with many samples, held in memory while it is read.

    Attributes:
        shard: the file.
        part: which part of it, as the shard counts them.
        num_rows: number of samples that the part is said to have.
    """

    shard: PackedFile
    part: Any
    num_rows: int
    random_access: bool = False

    @property
    def name(self) -> str:
        return f"{self.shard.location} ({self.shard.part_name(self.part)})"

    def load(self) -> Sequence[Sample]:
        rows = self.shard.load_part(self.part, self.name)
        if len(rows) != self.num_rows:
            raise DamagedShardError(f"{self.name}: {len(rows)} samples, expected {self.num_rows}")
        return rows


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
