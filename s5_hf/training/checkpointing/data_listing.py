"""What a run has learned from: names and sizes of every sample, so that a resumed run is told from one on other data.

An entry is a name and what is known of the sample's size without decoding it: bytes of its image and mask files, the
digest of boxes and other plain values. Shards of a stream are listed as a whole, with their rows and bytes.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Image, IterableDataset

from ..errors import CheckpointError
from ..segmentation.class_map import MappedSamples

FILE_NAME = "data.json.gz"
SHOWN = 5
_ROWS = 512
_THREADS = 16  # a shared file system answers slowly, but many at once

Entry = tuple[str, str]


@dataclass(frozen=True)
class DataListing:
    """The samples of every dataset of a run, in their order.

    Attributes:
        entries: name and size of each sample, by dataset.
    """

    entries: Mapping[str, Sequence[Entry]]

    @classmethod
    def of(cls, datasets: Mapping[str, Any]) -> "DataListing":
        """List datasets; one that is `None` is left out. Images are not decoded.

        Args:
            datasets: of `load_dataset`, lists of samples, or other sequences, of which only the length is known.
        """
        return cls({name: list(list_samples(data)) for name, data in datasets.items() if data is not None})

    def save(self, folder: Path) -> None:
        """Write `data.json.gz`."""
        content = json.dumps(self.entries).encode("utf-8")
        (folder / FILE_NAME).write_bytes(gzip.compress(content, compresslevel=4, mtime=0))

    @classmethod
    def load(cls, folder: Path) -> "DataListing":
        """Read `data.json.gz`.

        Raises:
            CheckpointError: naming the file, if it is missing or broken.
        """
        path = folder / FILE_NAME
        try:
            content = json.loads(gzip.decompress(path.read_bytes()))
            return cls({name: [(str(key), str(size)) for key, size in found] for name, found in content.items()})
        except (OSError, EOFError, zlib.error, ValueError, AttributeError, TypeError) as error:
            raise CheckpointError(f"{path} does not say which data the run has learned from: {error!r}") from error

    def changes(self, present: "DataListing") -> list[str]:
        """How `present` differs, one line per dataset that both have; whether a run has one is up to its recipe."""
        lines = []
        for name, former in self.entries.items():
            if name in present.entries:
                words = differences(former, present.entries[name])
                lines += [f"the dataset {name!r}: {words}"] if words else []
        return lines

    def changes_since(self, folder: Path) -> list[str]:
        """How these samples differ from those that the checkpoint in a folder was written with."""
        try:
            return DataListing.load(folder).changes(self)
        except CheckpointError as error:
            return [str(error)]


def differences(former: Sequence[Entry], present: Sequence[Entry]) -> str:
    """What differs between two listings of a dataset, empty for nothing."""
    former, present = [tuple(entry) for entry in former], [tuple(entry) for entry in present]
    if former == present:
        return ""
    sizes, sizes_now = dict(former), dict(present)
    parts = {
        "missing now": [name for name in sizes if name not in sizes_now],
        "new": [name for name in sizes_now if name not in sizes],
        "of another size or content": [name for name in sizes if name in sizes_now and sizes[name] != sizes_now[name]],
    }
    found = [f"{shortened(names)} {what}" for what, names in parts.items() if names]
    if len(former) != len(present):
        found.insert(0, f"{len(former)} samples then, {len(present)} now")
    return "; ".join(found) or "the same samples in another order"


def shortened(names: Sequence[str]) -> str:
    """The first few names, and how many there are."""
    listed = ", ".join(names[:SHOWN])
    return listed if len(names) <= SHOWN else f"{listed} and {len(names) - SHOWN} more"


def list_samples(samples: Any) -> Iterator[Entry]:
    """Name and size of every sample of a dataset."""
    if isinstance(samples, MappedSamples):
        return list_samples(samples.samples)
    if isinstance(samples, Dataset):
        return list_table(samples)
    if isinstance(samples, IterableDataset):
        return list_stream(samples)
    if isinstance(samples, (list, tuple)):
        return (list_sample(index, sample) for index, sample in enumerate(samples))
    return iter([("samples", str(len(samples)))])


def list_table(dataset: Dataset) -> Iterator[Entry]:
    """Entries of a dataset of `load_dataset`: files are looked up, embedded images are measured."""
    images = [name for name, feature in dataset.features.items() if isinstance(feature, Image)]
    values = [name for name in dataset.features if name not in images and name != "id"]
    index = 0
    with ThreadPoolExecutor(_THREADS) as threads:
        for table in dataset.with_format("arrow").iter(batch_size=_ROWS):
            sizes = [list(threads.map(image_bytes, *image_columns(table, name))) for name in images]
            plain = [table.column(name).to_pylist() for name in values]
            names = table.column("id").to_pylist() if "id" in dataset.features else [None] * table.num_rows
            for row, name in enumerate(names):
                known = [str(column[row]) for column in sizes] + [digest(column[row]) for column in plain]
                yield str(index if name is None else name), " ".join(known)
                index += 1


def image_columns(table: pa.Table, name: str) -> tuple[list[int | None], list[str | None]]:
    """Embedded bytes and paths of a column of images; the bytes themselves are not read."""
    column = table.column(name)
    return (
        pc.binary_length(pc.struct_field(column, "bytes")).to_pylist(),
        pc.struct_field(column, "path").to_pylist(),
    )


def image_bytes(embedded: int | None, path: str | None) -> int | None:
    """Bytes of an encoded image, `None` where there is none."""
    if embedded is not None or path is None:
        return embedded
    try:
        return Path(path).stat().st_size
    except OSError:
        return None  # remote, or gone: reading it says which


def list_stream(dataset: IterableDataset) -> Iterator[Entry]:
    """Entries of a stream: its single files, or its shards with their rows and bytes. Nothing is downloaded."""
    from ...dataset_builders.shards import SingleFiles
    from ...dataset_builders.storage import join
    from ...dataset_builders.streaming import blocks_of

    sizes: dict[str, int | None] = {}
    for block in blocks_of(dataset):
        if isinstance(block, SingleFiles):
            for record in block.records:
                paths = [path for path in record[:2] if path]
                known = [image_bytes(None, join(block.reader.root, path)) for path in paths]
                yield record[0], " ".join([*map(str, known), *record[2:]])
        else:
            location = block.shard.location
            if location not in sizes:
                sizes[location] = block.shard.storage.size(location)
            place = block.name.removeprefix(location)
            yield f"{PurePath(location).name}{place}", f"{block.num_rows} rows of {sizes[location]} bytes"


def list_sample(index: int, sample: Mapping[str, Any]) -> Entry:
    """The entry of a sample in memory."""
    known = (digest(value) for name, value in sample.items() if name != "id")
    return str(sample.get("id", index)), " ".join(known)


def digest(value: Any) -> str:
    """A short text that changes with a value: size for images, checksum for numbers and plain values."""
    if isinstance(value, np.ndarray):
        return f"{'x'.join(map(str, value.shape))}:{zlib.crc32(np.ascontiguousarray(value).tobytes()):08x}"
    if hasattr(value, "size") and hasattr(value, "mode"):
        return f"{value.size[0]}x{value.size[1]}"
    if isinstance(value, Mapping):
        return f"{zlib.crc32(' '.join(f'{name}={digest(part)}' for name, part in value.items()).encode()):08x}"
    if isinstance(value, (list, tuple)) and any(isinstance(part, np.ndarray) for part in value):
        return f"{zlib.crc32(' '.join(map(digest, value)).encode()):08x}"
    if value is None or isinstance(value, (str, int, float, bool, list, tuple)):
        return f"{zlib.crc32(repr(value).encode('utf-8', 'replace')):08x}"
    return type(value).__name__
