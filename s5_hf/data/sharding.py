"""Writing datasets as Parquet shards that plain `datasets` streams, with an index for servers without listings.

    dataset = load_dataset("s5-image-mask", data_dir="my-tiles", split="train", streaming=True, classes=[...])
    write_parquet_shards(dataset, "my-shards")

Encoded images go into the shards byte for byte. The format is that of `dataset_builders.shard_format`: its index tells
the order of an epoch without a look into each shard. A dataset card, `README.md`, lies beside the shards.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, DatasetInfo, Features, Image, IterableDataset, SplitInfo
from datasets.info import DatasetInfosDict
from datasets.splits import SplitDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, DatasetCardData
from tqdm import tqdm

from ..dataset_builders.band_images import BandImage
from ..dataset_builders.parquet_shards import row_group_sizes
from ..dataset_builders.shard_format import (
    INDEX_FILE,
    MAX_ROW_GROUP_ROWS,
    PARQUET,
    ROW_GROUP_BYTES,
    SHARD_BYTES,
    index_text,
    is_shard,
    shard_name,
    split_of,
)
from ..dataset_builders.storage import Storage
from ..dataset_builders.tar_shards import find_spans
from ..files.atomic import atomic_file, remove_leftovers, write_text
from ..files.locks import folder_lock

_CARD = "README.md"


@dataclass
class WrittenShard:
    """What the index says of a shard.

    Attributes:
        file: path below the folder, with forward slashes.
        split: its split.
        bytes: size of the file.
        rows: rows of each row group.
        last_id: `id` of the last sample, by which an interrupted job recognises its input.
    """

    file: str
    split: str
    bytes: int
    rows: list[int]
    last_id: str | None


def write_parquet_shards(
    dataset: Dataset | IterableDataset | Iterable[dict],
    folder: str | os.PathLike[str],
    split: str | None = None,
    features: Features | None = None,
    shard_bytes: int = SHARD_BYTES,
    row_group_bytes: int = ROW_GROUP_BYTES,
    title: str = "",
) -> list[Path]:
    """Write a split as Parquet shards, an index and a dataset card.

    An interrupted call resumes after the last finished shard when it is repeated with the same arguments.

    Args:
        dataset: a dataset, or an iterable of samples in one fixed order (then `features` is needed).
        folder: where to write. It may hold other splits that were written by this function.
        split: name of the split, by default the dataset's own, or `train`.
        features: columns, by default the dataset's.
        shard_bytes: a shard is closed when its images reach this size.
        row_group_bytes: a row group is closed when its images reach this size; streams hold row groups in memory.
        title: heading of the dataset card.

    Returns:
        The shards' paths.

    Raises:
        FileExistsError: if the folder already holds the finished split.
        BlockingIOError: if another run writes to the folder.
        ValueError: for sizes below 1, an empty dataset, missing features, or an interrupted job of other input.
    """
    if shard_bytes < 1 or row_group_bytes < 1:
        raise ValueError(f"sizes must be at least 1 byte, got shard {shard_bytes} and row group {row_group_bytes}")
    folder = Path(folder)
    features = features or getattr(dataset, "features", None)
    if features is None:
        raise ValueError("an iterable of samples needs features=...")
    split = str(split or getattr(dataset, "split", None) or "train")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    with folder_lock(folder):
        remove_leftovers(folder)
        remove_leftovers(folder / "data")
        return _write_split(dataset, folder, split, features, shard_bytes, row_group_bytes, title or folder.name)


def _write_split(
    dataset: Dataset | IterableDataset | Iterable[dict],
    folder: Path,
    split: str,
    features: Features,
    shard_bytes: int,
    row_group_bytes: int,
    title: str,
) -> list[Path]:
    """As `write_parquet_shards`, in a folder that nobody else writes to."""
    index = _read_index(folder)
    if any(shard.split == split for shard in index):
        raise FileExistsError(f"{folder} already holds the split {split}; choose another folder")
    progress_file = folder / f".{split}.progress.json"
    done = _read_progress(progress_file, folder)
    samples = _encoded_samples(dataset, features)
    first = next(samples, None)
    if first is None:
        raise ValueError(f"the dataset holds no samples, nothing was written to {folder}")
    samples = _as_pictures(chain([first], samples), pictures := _pictures(features, first))
    features = Features(features | dict.fromkeys(pictures, Image()))
    _skip_written(samples, done, folder)
    rows_done = sum(sum(shard.rows) for shard in done)
    total = len(dataset) if hasattr(dataset, "__len__") else None
    with tqdm(total=total, initial=rows_done, desc=f"writing {split}", unit="sample") as bar:
        groups = _row_groups(samples, features, row_group_bytes)
        for group in groups:
            name = shard_name(split, len(done))
            done.append(_write_shard(group, groups, features, folder, name, split, shard_bytes, bar))
            write_text(progress_file, json.dumps([asdict(shard) for shard in done]))
    _write_card(folder, [*index, *done], features, title)
    write_text(folder / INDEX_FILE, index_text([asdict(shard) for shard in [*index, *done]]))
    progress_file.unlink()
    return [folder / shard.file for shard in done]


def write_index(folder: str | os.PathLike[str]) -> Path:
    """Write `index.json` for a folder of Parquet or tar shards, or of single files, that is to be served over http.

    Returns:
        The index's path.

    Raises:
        FileNotFoundError: if there is no such folder or it is empty.
    """
    folder, storage = Path(folder), Storage()
    files = [name for name in storage.list_files(str(folder)) if name != INDEX_FILE]
    if not files:
        raise FileNotFoundError(f"{folder} holds no files")
    shards = []
    for name in tqdm([name for name in files if is_shard(name)], desc="indexing", unit="shard"):
        location = str(folder / name)
        entry = {"file": name, "split": split_of(name), "bytes": (folder / name).stat().st_size}
        if name.endswith(PARQUET):
            entry["rows"] = list(row_group_sizes(storage, location))
        else:
            entry["spans"] = [[span.start, span.stop, span.num_rows] for span in find_spans(storage, location)]
        shards.append(entry)
    write_text(folder / INDEX_FILE, index_text(shards, [] if shards else files))
    return folder / INDEX_FILE


def _encoded_samples(dataset: Dataset | IterableDataset | Iterable[dict], features: Features) -> Iterator[dict]:
    """Samples as they go into Arrow: images as their file's own bytes and their file's name."""
    images = [name for name, feature in features.items() if isinstance(feature, Image)]
    if isinstance(dataset, Dataset | IterableDataset):
        for name in images:
            dataset = dataset.cast_column(name, Image(decode=False))
    for sample in dataset:
        encoded = features.encode_example(sample)
        for name in images:
            if encoded[name] is not None:
                encoded[name] = _embedded(encoded[name])
        yield encoded


def _pictures(features: Features, sample: dict) -> list[str]:
    """Columns of images of any depth whose images are ordinary pictures, as the first sample shows."""
    return [
        name
        for name, feature in features.items()
        if isinstance(feature, BandImage) and sample[name] is not None and _is_picture(feature, sample[name])
    ]


def _is_picture(column: BandImage, image: dict) -> bool:
    return column.nodata is None and column.reading.leaves_to_pillow(image["bytes"], str(image["path"]))


def _as_pictures(samples: Iterable[dict], columns: list[str]) -> Iterator[dict]:
    """Samples whose columns are written as `datasets.Image`, which needs nothing of this package to be read.

    Raises:
        ValueError: an image has other bands or another depth, and plain `datasets` would cut its values.
    """
    for sample in samples:
        for name in columns:
            image = sample[name]
            if image is not None and not _is_picture(BandImage(), image):
                raise ValueError(
                    f"{image['path']} is not an 8-bit picture as the first image is; expected one depth in all shards"
                )
        yield sample


def _embedded(image: dict) -> dict:
    path = image.get("path")
    content = image.get("bytes")
    return {
        "bytes": Path(path).read_bytes() if content is None else content,
        "path": None if path is None else Path(path).name,
    }


def _row_groups(samples: Iterator[dict], features: Features, row_group_bytes: int) -> Iterator[tuple[list[dict], int]]:
    """Runs of samples and the bytes of their images."""
    images = [name for name, feature in features.items() if isinstance(feature, Image)]
    rows: list[dict] = []
    size = 0
    for sample in samples:
        rows.append(sample)
        size += sum(len(sample[name]["bytes"]) for name in images if sample[name] is not None)
        if size >= row_group_bytes or len(rows) == MAX_ROW_GROUP_ROWS:
            yield rows, size
            rows, size = [], 0
    if rows:
        yield rows, size


def _write_shard(
    group: tuple[list[dict], int],
    following: Iterator[tuple[list[dict], int]],
    features: Features,
    folder: Path,
    name: str,
    split: str,
    shard_bytes: int,
    bar: tqdm,
) -> WrittenShard:
    """Write `group` and the row groups that follow until the shard is full; a temporary name until it is complete."""
    schema = features.arrow_schema
    written, row_counts = 0, []
    with (
        atomic_file(folder / name) as temporary,
        # Encoded images do not compress, and neither dictionaries nor statistics of them help a reader.
        pq.ParquetWriter(
            temporary, schema, compression="none", use_dictionary=False, write_statistics=False
        ) as writer,
    ):
        while group is not None:
            rows, size = group
            writer.write_table(pa.Table.from_pylist(rows, schema=schema), row_group_size=len(rows))
            row_counts.append(len(rows))
            written += size
            bar.update(len(rows))
            group = None if written >= shard_bytes else next(following, None)
    last_id = rows[-1].get("id")
    return WrittenShard(name, split, (folder / name).stat().st_size, row_counts, last_id)


def _skip_written(samples: Iterator[dict], done: list[WrittenShard], folder: Path) -> None:
    """Skip the samples of finished shards and compare the ids at their ends."""
    for shard in done:
        last = deque(islice(samples, sum(shard.rows)), maxlen=1)
        found = last[0].get("id") if last else "no sample"
        if not last or found != shard.last_id:
            raise ValueError(
                f"{folder} holds an interrupted job of other input: {shard.file} ends with {shard.last_id!r}, "
                f"the dataset has {found!r} there. Remove the folder, or pass the same dataset"
            )


def _read_progress(progress_file: Path, folder: Path) -> list[WrittenShard]:
    if not progress_file.exists():
        return []
    shards = [WrittenShard(**entry) for entry in json.loads(progress_file.read_text(encoding="utf-8"))]
    for position, shard in enumerate(shards):
        path = folder / shard.file
        if not path.exists() or path.stat().st_size != shard.bytes:
            return shards[:position]
    return shards


def _read_index(folder: Path) -> list[WrittenShard]:
    path = folder / INDEX_FILE
    if not path.exists():
        return []
    try:
        return [WrittenShard(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["shards"]]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} was not written by write_parquet_shards: {error}") from error


def _write_card(folder: Path, shards: list[WrittenShard], features: Features, title: str) -> None:
    splits = list(dict.fromkeys(shard.split for shard in shards))
    sizes = {split: sum(shard.bytes for shard in shards if shard.split == split) for split in splits}
    counts = {split: sum(sum(shard.rows) for shard in shards if shard.split == split) for split in splits}
    info = DatasetInfo(
        features=features,
        splits=SplitDict({split: SplitInfo(split, sizes[split], counts[split]) for split in splits}),
        download_size=sum(sizes.values()),
        dataset_size=sum(sizes.values()),
    )
    card_data = DatasetCardData()
    DatasetInfosDict({"default": info}).to_dataset_card_data(card_data)
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]
    MetadataConfigs({"default": {"data_files": files}}).to_dataset_card_data(card_data)
    table = "\n".join(f"| {split} | {counts[split]} | {sizes[split] / 1e6:.1f} |" for split in splits)
    columns = "\n".join(f"- `{name}`: {feature}" for name, feature in features.items())
    text = (
        f"---\n{card_data.to_yaml()}\n---\n\n# {title}\n\n| split | samples | MB |\n|---|---|---|\n{table}\n\n"
        f"Columns:\n\n{columns}\n\nImages are stored byte for byte as they were. Load with:\n\n"
        "```python\nfrom datasets import load_dataset\n\n"
        'dataset = load_dataset("path/to/this/folder", streaming=True)\n```\n'
    )
    write_text(folder / _CARD, str(DatasetCard(text)))
