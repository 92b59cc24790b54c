"""Parquet shards: each row group is a block, fetched with one request and held in memory while it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from .credentials import without_credentials
from .errors import DamagedShardError, ShardReadError
from .open_files import kept_open
from .samples import check_encoded
from .shards import Block, PackedBlock, PackedFile, Sample
from .storage import RangeFile, Storage, is_remote


@dataclass(frozen=True)
class ParquetShard(PackedFile):
    """One Parquet file.

    Attributes:
        location: local path or URL.
        columns: column of the sample -> names under which a file may hold it, the first found is taken.
        rows: rows of each row group where an index tells them, empty to look into the file.
    """

    location: str
    columns: tuple[tuple[str, tuple[str, ...]], ...]
    storage: Storage
    rows: tuple[int, ...] = ()

    def blocks(self) -> Sequence[Block]:
        rows = self.rows or row_group_sizes(self.storage, self.location)
        return [PackedBlock(self, index, num_rows) for index, num_rows in enumerate(rows) if num_rows]

    def part_name(self, part: int) -> str:
        return f"row group {part}"

    def load_part(self, part: int, name: str) -> Sequence[Sample]:
        with _errors_of(name):
            return ParquetRows(_read_row_group(_open(self.storage, self.location), part), self, part)


class ParquetRows(Sequence):
    """Rows of a table as raw samples. Columns that a file does not have are None.

    Images, `{bytes, path}`, are copied out of the table one by one, when they are asked for; the other columns are
    short and become Python values at once, which costs less than looking up each.
    """

    def __init__(self, table: pa.Table, shard: ParquetShard, row_group: int) -> None:
        self._num_rows, self._shard, self._row_group = table.num_rows, shard, row_group
        self._nested: dict[str, pa.Array] = {}
        self._values: dict[str, list] = {}
        for name, aliases in shard.columns:
            alias = next((alias for alias in aliases if alias in table.column_names), None)
            if alias is None:
                self._values[name] = [None] * table.num_rows
            elif pa.types.is_struct(table.schema.field(alias).type):
                self._nested[name] = table.column(alias).combine_chunks()
            else:
                self._values[name] = table.column(alias).to_pylist()
        self._images = [name for name, _ in shard.columns if name.startswith("image")]
        if missing := [name for name in self._images if name not in self._nested]:
            raise DamagedShardError(
                f"{shard.location} has no {missing[0]} column of {{bytes, path}}, only "
                f"{', '.join(f'{field.name} ({field.type})' for field in table.schema)}"
            )

    def __len__(self) -> int:
        return self._num_rows

    def __getitem__(self, row: int) -> Sample:
        sample = {name: column[row].as_py() for name, column in self._nested.items()}
        sample.update((name, values[row]) for name, values in self._values.items())
        if sample.get("id") is None:
            stem = PurePosixPath(without_credentials(self._shard.location)).stem
            sample["id"] = f"{stem}:{self._row_group}:{row}"
        name = f"{sample['id']} in {self._shard.location}"
        masks = [value for column, value in sample.items() if column.startswith(("mask", "pseudo_mask"))]
        for column in self._images:
            check_encoded(sample[column], masks, name)
        return sample


def row_group_sizes(storage: Storage, location: str) -> tuple[int, ...]:
    """Rows of each row group of the file at `location`."""
    with _errors_of(location):
        metadata = _open(storage, location).parquet.metadata
        return tuple(metadata.row_group(index).num_rows for index in range(metadata.num_row_groups))


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Name the file in what pyarrow raises: it does not, and takes damage for bad input or for a failed read."""
    try:
        yield
    except (FileNotFoundError, ShardReadError):
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedShardError(f"{name} is damaged or not a Parquet file: {error}") from error


@dataclass(frozen=True)
class _OpenParquet:
    """An open file, and what its reads go through."""

    parquet: pq.ParquetFile
    source: BinaryIO | None

    def close(self) -> None:
        self.parquet.close(force=True)


def _open(storage: Storage, location: str) -> _OpenParquet:
    return kept_open(storage, location, lambda: _open_file(storage, location))


def _open_file(storage: Storage, location: str) -> _OpenParquet:
    if not is_remote(location):
        # Not memory-mapped: pages of a map count as memory of the process, which would grow with the shard.
        return _OpenParquet(pq.ParquetFile(location, pre_buffer=False), None)
    source = storage.open(location)
    try:
        return _OpenParquet(pq.ParquetFile(source, pre_buffer=False), source)
    except BaseException:
        source.close()
        raise


def _read_row_group(opened: _OpenParquet, index: int) -> pa.Table:
    if not isinstance(opened.source, RangeFile):
        return opened.parquet.read_row_group(index, use_threads=False)
    opened.source.prefetch(*_byte_span(opened.parquet.metadata.row_group(index)))
    table = opened.parquet.read_row_group(index, use_threads=False)
    opened.source.forget()
    return table


def _byte_span(row_group: pq.RowGroupMetaData) -> tuple[int, int]:
    columns = [row_group.column(index) for index in range(row_group.num_columns)]
    starts = [column.dictionary_page_offset or column.data_page_offset for column in columns]
    return min(starts), max(
        start + column.total_compressed_size for start, column in zip(starts, columns, strict=True)
    )
