"""WebDataset tar shards, whose format `shard_format` describes: runs of samples, read with one request each."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from .errors import CorruptImageError, DamagedShardError, SampleError
from .open_files import kept_open
from .samples import check_encoded
from .shard_format import FACTS_MEMBER, FILES_PER_BLOCK, IMAGE_MEMBERS, MASK_MEMBERS, member_name
from .shards import Block, PackedBlock, PackedFile, Sample
from .storage import RangeFile, Storage, is_remote

Members = dict[str, bytes]

_PLAIN_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_BROKEN_HEADER = (tarfile.TarError, ValueError)

_TAR_BLOCK = 512
# Tar files are filled with zeros up to a multiple of 10,240 bytes, or of what `tar --blocking-factor` was told.
_MOST_PADDING = 1 << 20
_LARGEST_MEMBER = 1 << 32
_LONGEST_HEADER = 1 << 20


@dataclass(frozen=True)
class TarSpan:
    """A run of whole samples inside a tar file: bytes `start` to `stop`, `num_rows` samples."""

    start: int
    stop: int
    num_rows: int


@dataclass(frozen=True)
class TarShard(PackedFile):
    """One tar file.

    Attributes:
        location: local path or URL of an uncompressed tar file.
        default_source: `source` of samples whose JSON names none.
        spans: where an index tells them; empty to read through the file once for them.
    """

    location: str
    default_source: str
    storage: Storage
    spans: tuple[TarSpan, ...] = ()

    def read(self, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop`; fewer if the file is shorter."""
        if not is_remote(self.location):
            return self.storage.read_range(self.location, start, stop)
        # Kept open, as it may have been downloaded whole.
        file = kept_open(self.storage, self.location, lambda: self.storage.open(self.location))
        if isinstance(file, RangeFile):
            file.prefetch(start, stop)
        file.seek(start)
        return file.read(stop - start)

    def blocks(self) -> Sequence[Block]:
        spans = self.spans or find_spans(self.storage, self.location)
        return [PackedBlock(self, span, span.num_rows) for span in spans]

    def stream(self) -> Iterator[Sequence[Sample]]:
        if self.spans:
            yield from super().stream()
            return
        samples: list[tuple[str, Members]] = []
        with self.storage.open(self.location) as file:
            for sample in _samples(file, _all_members(file, self.location), self.location):
                samples.append(sample)
                if len(samples) == FILES_PER_BLOCK:
                    yield TarRows(samples, self)
                    samples = []
        if samples:
            yield TarRows(samples, self)

    def part_name(self, part: TarSpan) -> str:
        return f"bytes {part.start} to {part.stop}"

    def load_part(self, part: TarSpan, name: str) -> Sequence[Sample]:
        content = self.read(part.start, part.stop)
        if len(content) != part.stop - part.start:
            raise DamagedShardError(f"{name}: the file ends at byte {part.start + len(content)}")
        file = io.BytesIO(content)
        return TarRows(list(_samples(file, _span_members(file, self.location, part.start), self.location)), self)


class TarRows(Sequence):
    """Raw samples out of the files of each."""

    def __init__(self, samples: list[tuple[str, Members]], shard: TarShard) -> None:
        self._samples, self._shard = samples, shard

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, row: int) -> Sample:
        key, members = self._samples[row]
        name = f"{key} in {self._shard.location}"
        image = next((extension for extension in IMAGE_MEMBERS if extension in members), None)
        if image is None:
            raise CorruptImageError(f"{name}: no image among its files {sorted(members)}")
        mask = next((extension for extension in MASK_MEMBERS if extension in members and extension != image), None)
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


def find_spans(storage: Storage, location: str) -> tuple[TarSpan, ...]:
    """Runs of `FILES_PER_BLOCK` samples, found by reading the headers of the whole file."""
    spans: list[TarSpan] = []
    start = stop = rows = 0
    last_key = None
    with storage.open(location) as file:
        for member in _all_members(file, location):
            key, _ = member_name(member.name)
            if key != last_key and rows == FILES_PER_BLOCK:
                spans.append(TarSpan(start, member.offset, rows))
                start, rows = member.offset, 0
            rows += key != last_key
            last_key = key
            stop = member.offset_data - (-member.size // _TAR_BLOCK) * _TAR_BLOCK
    if rows:
        spans.append(TarSpan(start, stop, rows))
    return tuple(spans)


def _samples(file: BinaryIO, members: Iterator[tarfile.TarInfo], name: str) -> Iterator[tuple[str, Members]]:
    """Key and files of each sample of a tar file, out of its members."""
    last_key: str | None = None
    files: Members = {}
    for member in members:
        key, extension = member_name(member.name)
        if key != last_key and last_key is not None:
            yield last_key, files
            files = {}
        last_key = key
        file.seek(member.offset_data)
        files[extension] = file.read(member.size)
        if len(files[extension]) != member.size:
            raise DamagedShardError(f"{name} ends inside {member.name}")
    if last_key is not None:
        yield last_key, files


def _all_members(file: BinaryIO, name: str) -> Iterator[tarfile.TarInfo]:
    """The files in a whole tar file, which has to end as tar files do: with zeros, and nothing behind them.

    Raises:
        DamagedShardError: also after the last member, if what follows tells that members are missing.
    """
    end = yield from _members(file, name, 0)
    file.seek(end)
    rest = file.read(_MOST_PADDING + 1)
    if not rest:
        raise DamagedShardError(f"{name}, byte {end}: the file ends without the zeros that end a tar file; it was cut")
    content = rest.lstrip(b"\0")
    if content:
        place = end + len(rest) - len(content)
        raise DamagedShardError(
            f"{name}, byte {end}: the tar file ends here, but more follows at byte {place}; it was overwritten with "
            "zeros, or several tar files were joined"
        )
    if len(rest) > _MOST_PADDING:
        raise DamagedShardError(
            f"{name}, byte {end}: more than {_MOST_PADDING:,} bytes of zeros follow; the file was never filled"
        )


def _span_members(file: BinaryIO, name: str, start: int) -> Iterator[tarfile.TarInfo]:
    """The files in a run of whole samples, which is cut out of a tar file at byte `start`."""
    end = yield from _members(file, name, start)
    size = file.seek(0, io.SEEK_END)
    if end != size:
        raise DamagedShardError(
            f"{name}, byte {start + end}: the samples end here, expected them up to {start + size}"
        )


class _HeaderFile:
    """What `tarfile` reads headers from. Long names lie behind them: a damaged length could ask for any memory."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size: int) -> bytes:
        if size > _LONGEST_HEADER:
            raise tarfile.HeaderError(f"a name or its attributes claim {size:,} bytes")
        return self._read(size)


def _members(file: BinaryIO, name: str, start: int) -> Generator[tarfile.TarInfo, None, int]:
    """The files of a tar file up to its end or the first block of zeros, which is at the byte that is returned.

    `tarfile` itself would take most damaged headers for the end, so each is read here, and every error raised.

    Args:
        file: a seekable file.
        name: for messages.
        start: where its first byte lies in the shard, for messages.

    Raises:
        DamagedShardError: for a header that cannot be read, and a member that cannot be used, with its byte and name.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    try:
        archive = tarfile.TarFile(fileobj=_HeaderFile(file))
    except _BROKEN_HEADER as error:
        raise DamagedShardError(f"{name}, byte {start}: not an uncompressed tar file ({error})") from error
    offset = archive.offset = 0  # the archive has read the first header already
    while offset < size:
        file.seek(offset)
        try:
            member = tarfile.TarInfo.fromtarfile(archive)
        except tarfile.EOFHeaderError:
            return offset
        except _BROKEN_HEADER as error:
            raise DamagedShardError(f"{name}, byte {start + offset}: damaged tar header ({error})") from error
        if not 0 <= member.size <= min(_LARGEST_MEMBER, size - member.offset_data):
            raise DamagedShardError(
                f"{name}, byte {start + offset}: {member.name!r} claims {member.size:,} bytes, but "
                f"{min(_LARGEST_MEMBER, size - member.offset_data):,} are the most that it can have"
            )
        if member.type in _PLAIN_TYPES and not member.issparse():
            yield member
        elif not member.isdir():
            raise DamagedShardError(
                f"{name}, byte {start + offset}: {member.name!r} is a link or a special file; pack plain files alone "
                "(tar --dereference --hard-dereference)"
            )
        offset = archive.offset
    return offset


def _facts(members: Members, name: str) -> dict:
    if FACTS_MEMBER not in members:
        return {}
    try:
        facts = json.loads(members[FACTS_MEMBER])
    except ValueError as error:
        raise SampleError(f"{name}: its JSON does not parse: {error}") from error
    if not isinstance(facts, dict):
        raise SampleError(f"{name}: its JSON is {type(facts).__name__}, expected an object")
    return facts
