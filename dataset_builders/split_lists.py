"""Split lists: text files with one sample per line, as `image mask` or as `image` alone.

Paths are relative to the data directory and are separated by a tab, a comma or blanks.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from functools import lru_cache

from .errors import SampleError
from .shard_format import FILES_PER_BLOCK
from .shards import Record, SampleReader, SingleFiles
from .storage import Storage

_OPEN_LISTS = 64


@dataclass(frozen=True)
class ListShard(SingleFiles):
    """Samples in files of their own, named by a run of lines of a split list, which stays on disk until needed.

    Attributes:
        location: the split list.
        start: the run's first byte in it.
        stop: the byte after the run.
        first_line: number of the first line, from 1, for messages.
        num_rows: samples (lines that are not blank).
        columns: how many paths a line may hold.
    """

    location: str
    start: int
    stop: int
    first_line: int
    num_rows: int
    columns: tuple[int, ...]
    storage: Storage
    reader: SampleReader

    @property
    def name(self) -> str:
        return f"{self.location}:{self.first_line}"

    @property
    def records(self) -> tuple[Record, ...]:
        """The paths on its lines."""
        span = self.start, self.stop, self.first_line
        return _records(self.storage, self.location, span, self.columns, os.getpid())


def list_shards(
    storage: Storage, location: str, reader: SampleReader, columns: tuple[int, ...] = (2,)
) -> list[ListShard]:
    """Shards for a split list. Every line is checked, but only positions are kept: lists can be long.

    Raises:
        FileNotFoundError: if there is no such list.
        SampleError: for a broken line, with the file and the line's number, or for an empty list.
    """
    shards: list[ListShard] = []
    start = position = rows = 0
    first_line = 1
    with storage.open(location) as file, io.BufferedReader(file) as lines:
        for number, line in enumerate(lines, start=1):
            if parse_line(_decode(line, location, number), columns, location, number) is not None:
                rows += 1
            position += len(line)
            if rows == FILES_PER_BLOCK:
                shards.append(ListShard(location, start, position, first_line, rows, columns, storage, reader))
                start, first_line, rows = position, number + 1, 0
    if rows:
        shards.append(ListShard(location, start, position, first_line, rows, columns, storage, reader))
    if not shards:
        raise SampleError(f"{location} names no samples")
    return shards


def parse_line(line: str, columns: tuple[int, ...], location: str, number: int) -> Record | None:
    """The paths on a line, `None` for a blank line.

    Args:
        line: the line.
        columns: the numbers of paths that are allowed, such as (1, 2).
        location: name of the list, for the error.
        number: number of the line from 1, for the error.

    Raises:
        SampleError: if the line holds another number of paths.
    """
    line = line.strip("\ufeff \t\r\n")
    if not line:
        return None
    separator = next((mark for mark in "\t," if mark in line), None)
    paths = tuple(path.strip().replace("\\", "/") for path in line.split(separator))
    if len(paths) not in columns or not all(paths):
        expected = " or ".join({1: "'image'", 2: "'image mask'"}[count] for count in columns)
        raise SampleError(f"{location}, line {number}: expected {expected}, got {line[:200]!r}")
    return paths


def _decode(line: bytes, location: str, number: int) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SampleError(f"{location}, line {number}: not UTF-8 text ({error.reason})") from error


@lru_cache(maxsize=_OPEN_LISTS)
def _records(
    storage: Storage, location: str, span: tuple[int, int, int], columns: tuple[int, ...], process: int
) -> tuple[Record, ...]:
    """Records of a run of lines; kept for a while because neighbouring lines are asked for one by one."""
    start, stop, first_line = span
    lines = enumerate(storage.read_range(location, start, stop).decode("utf-8").split("\n"), start=first_line)
    records = (parse_line(line, columns, location, number) for number, line in lines)
    return tuple(record for record in records if record is not None)
