"""WebDataset tar shards: the files of a sample stand side by side and share the name up to the first dot.

`0001.jpg`, `0001.mask.png` and `0001.json` make one sample. The image is the first file with an image's extension, the
pseudo-mask is `mask.png`, `pseudo_mask.png`, `seg.png`, `label.png`, or plain `png` beside an image in another format.
The JSON may hold `id`, `source`, `entropy` and `cluster`.
"""

from __future__ import annotations

import io
import json
import math
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from .errors import CorruptImageError, SampleError, ShardReadError
from .samples import check_encoded
from .shards import FILES_PER_BLOCK, Block, Sample
from .storage import RangeFile, Storage

Members = dict[str, bytes]

_IMAGE_EXTENSIONS = ("jpg", "jpeg", "webp", "tif", "tiff", "image.jpg", "image.png", "png")
_MASK_EXTENSIONS = ("pseudo_mask.png", "mask.png", "seg.png", "label.png", "png")
_TAR_RECORD = 512
_OPEN_FILES = 8


@dataclass(frozen=True)
class TarSpan:
    """A run of whole samples inside a tar file: bytes `start` to `stop`, `num_rows` samples."""

    start: int
    stop: int
    num_rows: int


@dataclass(frozen=True)
class TarShard:
    """One tar file.

    Attributes:
        location: local path or URL of an uncompressed tar file.
        default_source: `source` of samples whose JSON names none.
        spans: where an index tells them; empty to pass over the file once for them.
    """

    location: str
    default_source: str
    storage: Storage
    spans: tuple[TarSpan, ...] = ()

    @property
    def name(self) -> str:
        return self.location

    def blocks(self) -> Sequence[Block]:
        spans = self.spans or find_spans(self.storage, self.location)
        return [TarBlock(self, span) for span in spans]

    def stream(self) -> Iterator[Sequence[Sample]]:
        if self.spans:
            for block in self.blocks():
                yield block.load()
            return
        samples: list[tuple[str, Members]] = []
        with self.storage.open(self.location) as file:
            for sample in _samples(file, self.location):
                samples.append(sample)
                if len(samples) == FILES_PER_BLOCK:
                    yield TarRows(samples, self)
                    samples = []
        if samples:
            yield TarRows(samples, self)


@dataclass(frozen=True)
class TarBlock:
    """A run of samples of a tar file."""

    shard: TarShard
    span: TarSpan
    random_access: bool = False

    @property
    def name(self) -> str:
        return f"{self.shard.location} (bytes {self.span.start} to {self.span.stop})"

    @property
    def num_rows(self) -> int:
        return self.span.num_rows

    def load(self) -> Sequence[Sample]:
        storage, location = self.shard.storage, self.shard.location
        file = _open_file(storage, location, storage.stamp(location), os.getpid())
        if isinstance(file, RangeFile):
            file.prefetch(self.span.start, self.span.stop)
        file.seek(self.span.start)
        content = file.read(self.span.stop - self.span.start)
        samples = list(_samples(io.BytesIO(content), self.name))
        if len(samples) != self.num_rows:
            raise ShardReadError(f"{self.name}: {len(samples)} samples, the index says {self.num_rows}")
        return TarRows(samples, self.shard)


class TarRows(Sequence):
    """Raw samples out of the files of each."""

    def __init__(self, samples: list[tuple[str, Members]], shard: TarShard) -> None:
        self._samples, self._shard = samples, shard

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, row: int) -> Sample:
        key, members = self._samples[row]
        name = f"{key} in {self._shard.location}"
        image = next((extension for extension in _IMAGE_EXTENSIONS if extension in members), None)
        if image is None:
            raise CorruptImageError(f"{name}: no image among its files {sorted(members)}")
        mask = next((extension for extension in _MASK_EXTENSIONS if extension in members and extension != image), None)
        stem = key.rpartition("/")[2]
        image_value = {"bytes": members[image], "path": f"{stem}.{image}"}
        mask_value = None if mask is None else {"bytes": members[mask], "path": f"{stem}.{mask}"}
        check_encoded(image_value, (mask_value,), name)
        facts = _facts(members, name)
        return {
            "image": image_value,
            "id": str(facts.get("id", key)),
            "source": str(facts.get("source", self._shard.default_source)),
            "pseudo_mask": mask_value,
            "entropy": facts.get("entropy"),
            "cluster": facts.get("cluster"),
        }


@lru_cache(maxsize=_OPEN_FILES)
def _open_file(storage: Storage, location: str, stamp: tuple[int, int], process: int) -> BinaryIO:
    """An open tar file. Per process: file positions survive a fork."""
    return storage.open(location)


def find_spans(storage: Storage, location: str) -> tuple[TarSpan, ...]:
    """Runs of `FILES_PER_BLOCK` samples, found by passing over the headers of the whole file."""
    spans: list[TarSpan] = []
    start = stop = rows = 0
    last_key = None
    with storage.open(location) as file:
        for member in _members(file, location):
            key, _ = split_name(member.name)
            if key != last_key and rows == FILES_PER_BLOCK:
                spans.append(TarSpan(start, member.offset, rows))
                start, rows = member.offset, 0
            rows += key != last_key
            last_key = key
            stop = member.offset_data + math.ceil(member.size / _TAR_RECORD) * _TAR_RECORD
    if rows:
        spans.append(TarSpan(start, stop, rows))
    return tuple(spans)


def split_name(name: str) -> tuple[str, str]:
    """Key and extension of a member: the name parted at the first dot after the last slash, extension lower-case."""
    folder, slash, file_name = name.removeprefix("./").rpartition("/")
    stem, _, extension = file_name.partition(".")
    return folder + slash + stem, extension.lower()


def _samples(file: BinaryIO, name: str) -> Iterator[tuple[str, Members]]:
    """Key and files of each sample of a tar stream."""
    last_key: str | None = None
    files: Members = {}
    with _opened(file, name) as archive:
        for member in _members_of(archive, name):
            key, extension = split_name(member.name)
            if key != last_key and last_key is not None:
                yield last_key, files
                files = {}
            last_key = key
            content = archive.extractfile(member)
            files[extension] = content.read() if content is not None else b""
            if len(files[extension]) != member.size:
                raise ShardReadError(f"{name} ends inside {member.name}")
            archive.members = []  # tarfile would keep a record of every file it has passed
    if last_key is not None:
        yield last_key, files


def _members(file: BinaryIO, name: str) -> Iterator[tarfile.TarInfo]:
    with _opened(file, name) as archive:
        for member in _members_of(archive, name):
            yield member
            archive.members = []


def _opened(file: BinaryIO, name: str) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=file, mode="r:")
    except tarfile.TarError as error:
        raise ShardReadError(f"{name} is no uncompressed tar file: {error}") from error


def _members_of(archive: tarfile.TarFile, name: str) -> Iterator[tarfile.TarInfo]:
    try:
        while (member := archive.next()) is not None:
            if member.isfile():
                yield member
    except tarfile.TarError as error:
        raise ShardReadError(f"{name}: {error}") from error


def _facts(members: Members, name: str) -> dict:
    if "json" not in members:
        return {}
    try:
        facts = json.loads(members["json"])
    except ValueError as error:
        raise SampleError(f"{name}: its JSON does not parse: {error}") from error
    if not isinstance(facts, dict):
        raise SampleError(f"{name}: its JSON is {type(facts).__name__}, expected an object")
    return facts
