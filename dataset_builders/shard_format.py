"""The format of shards, which `s5_hf.data.sharding` writes and `shard_files` finds: names, sizes, columns, the index.

A folder of shards holds `data/SPLIT-00000.parquet` and so on (or tar files of any name) and `index.json`:

    {"version": 1, "files": [], "shards": [{"file": "data/train-00000.parquet", "split": "train", "bytes": 9000,
                                            "rows": [64, 36]}]}

`rows` counts the samples of each row group of a Parquet file; a tar file has `spans` in its place, `[first byte, byte
after the last, samples]` each. Shards that `write_parquet_shards` wrote also tell their `last_id`. A folder of single
files lists them in `files`.

In a tar file (WebDataset) the files of a sample stand side by side and share the name up to the first dot:
`0001.jpg`, `0001.mask.png` and `0001.json` make one sample. The image is the first file with an image's extension, the
pseudo-mask is `mask.png`, `pseudo_mask.png`, `seg.png`, `label.png`, or plain `png` beside an image in another format.
The JSON may hold `id`, `source`, `entropy` and `cluster`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from .errors import DamagedShardError

INDEX_FILE = "index.json"
"""Lists the files or shards of a folder, for servers that list no folders."""

SHARD_BYTES = 500_000_000
ROW_GROUP_BYTES = 16_000_000
MAX_ROW_GROUP_ROWS = 1024
FILES_PER_BLOCK = 64
"""Samples of a span of a tar file, and of a run of single files."""

PARQUET, TAR = ".parquet", ".tar"

COLUMN_NAMES = {
    "mask": ("mask", "label", "annotation", "pseudo_mask"),
    "pseudo_mask": ("pseudo_mask", "mask", "label"),
    "image": ("image", "jpg", "png"),
    "id": ("id", "__key__"),
}
"""Column of a sample -> names under which a Parquet file may hold it; the first found is taken. Others have one."""

IMAGE_MEMBERS = ("jpg", "jpeg", "webp", "tif", "tiff", "image.jpg", "image.png", "png")
"""Extensions of the image of a sample in a tar file; the first found is taken."""

MASK_MEMBERS = ("pseudo_mask.png", "mask.png", "seg.png", "label.png", "png")
"""Extensions of its pseudo-mask, the first found that is not the image."""

FACTS_MEMBER = "json"

_SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test", "trainval": "trainval"}
_NUMBERED = re.compile(r"(?P<begin>.+)-(?P<number>\d+)-of-(?P<total>\d+)(?:-[0-9a-f]+)?(?P<suffix>\.parquet|\.tar)$")


def is_shard(name: str) -> bool:
    """Whether a file name is that of a Parquet or tar file."""
    return name.endswith((PARQUET, TAR))


def shard_name(split: str, number: int) -> str:
    """The path of a Parquet shard below its folder."""
    return f"data/{split}-{number:05d}{PARQUET}"


def split_of(name: str) -> str:
    """The split that a shard's name tells: a folder of its name, or the beginning of the file's; else `train`."""
    path = PurePosixPath(name)
    first_word = re.split(r"[^a-z]", path.stem.lower(), maxsplit=1)[0]
    words = [first_word, *(part.lower() for part in reversed(path.parts[:-1]))]
    return next((_SPLITS[word] for word in words if word in _SPLITS), "train")


def missing_numbers(names: Iterable[str]) -> dict[str, tuple[int, int, list[str]]]:
    """Shards that are not among `names`, of each series such as `train-00000-of-00003.parquet` that has gaps.

    Returns:
        Pattern of the series -> how many are there, how many it has, and the names of the missing ones.
    """
    numbers: dict[tuple[str, str, str], set[int]] = {}
    for name in names:
        found = _NUMBERED.match(name)
        if found:
            numbers.setdefault((found["begin"], found["total"], found["suffix"]), set()).add(int(found["number"]))
    gaps = {}
    for (begin, total, suffix), present in numbers.items():
        count = int(total)
        expected = set(range(1, count + 1) if count in present else range(count))  # some count from 1
        missing = [f"{begin}-{number:0{len(total)}d}-of-{total}{suffix}" for number in sorted(expected - present)]
        if missing:
            gaps[f"{begin}-*-of-{total}{suffix}"] = len(present), count, missing
    return gaps


def member_name(name: str) -> tuple[str, str]:
    """Key and extension of a file in a tar file: the name up to the first dot after the last slash, and the rest in
    lower case."""
    folder, slash, file_name = name.removeprefix("./").rpartition("/")
    stem, _, extension = file_name.partition(".")
    return folder + slash + stem, extension.lower()


def index_text(shards: Sequence[Mapping[str, object]], files: Iterable[str] = ()) -> str:
    """The content of an index."""
    return json.dumps({"version": 1, "files": list(files), "shards": shards}, indent=1)


def parse_index(content: bytes, location: str) -> dict[str, list]:
    """The index that lies at `location`: `files`, a list of names, and `shards`, a list of objects with `file`.

    Raises:
        DamagedShardError: if it is something else, such as the page of a server that answers everything.
    """
    try:
        index = {"files": [], "shards": [], **json.loads(content)}
        if not all(isinstance(name, str) for name in index["files"]):
            raise TypeError("files must be names")
        for shard in index["shards"]:
            numbers = [*shard.get("rows", ()), *(number for span in shard.get("spans", ()) for number in span)]
            if not isinstance(shard["file"], str) or not all(isinstance(number, int) for number in numbers):
                raise TypeError(f"not a shard: {str(shard)[:100]}")
            if any(len(span) != 3 for span in shard.get("spans", ())):
                raise ValueError(f"spans are not start, stop and samples: {str(shard)[:100]}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedShardError(
            f"{location} is not an index of files and shards ({error}); it begins with {content[:40]!r}"
        ) from error
    return index
