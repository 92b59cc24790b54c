"""Finding Parquet and tar shards in a folder, and the index that spares a look into each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from datasets import Features

from .errors import DamagedShardError, ShardReadError
from .parquet_shards import ParquetShard
from .shards import Shard
from .storage import INDEX_FILE, Storage, is_remote, join, read_index
from .tar_shards import TarShard, TarSpan

_SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test", "trainval": "trainval"}
_NUMBERED = re.compile(r"(?P<begin>.+)-(?P<number>\d+)-of-(?P<total>\d+)(?:-[0-9a-f]+)?(?P<suffix>\.parquet|\.tar)$")
_MOST_NAMES = 5
_ALIASES = {
    "mask": ("mask", "label", "annotation"),
    "pseudo_mask": ("pseudo_mask", "mask", "label"),
    "image": ("image", "jpg", "png"),
    "id": ("id", "__key__"),
}


def find_shard_files(
    storage: Storage, root: str, files: Sequence[str] | Mapping[str, Sequence[str]], columns: Features, source: str
) -> dict[str, list[Shard]]:
    """Shards by split; empty where there are neither Parquet nor tar files.

    Args:
        storage: how they are read.
        root: folder that `files` are relative to.
        files: relative paths of all files below it, or full locations by split.
        columns: the columns that samples have.
        source: `source` of samples that name none.

    Raises:
        DamagedShardError: if shards are missing, or are not as large as the index says.
    """
    if isinstance(files, Mapping):
        named = [(split, location, location) for split, paths in files.items() for location in paths]
        index = {}
    else:
        names = [name for name in files if name.endswith((".parquet", ".tar"))]
        index = _read_index(storage, root) if names else {}
        _require_complete(storage, root, names, index)
        named = [(index.get(name, {}).get("split") or split_of(name), name, join(root, name)) for name in names]
    found: dict[str, list[Shard]] = {}
    for split, name, location in named:
        shard = _shard(location, index.get(name, {}), storage, columns, source)
        found.setdefault(split, []).append(shard)
    return found


def split_of(name: str) -> str:
    """The split that a shard's name tells: a folder of its name, or the beginning of the file's; else `train`."""
    path = PurePosixPath(name)
    first_word = re.split(r"[^a-z]", path.stem.lower(), maxsplit=1)[0]
    words = [first_word, *(part.lower() for part in reversed(path.parts[:-1]))]
    return next((_SPLITS[word] for word in words if word in _SPLITS), "train")


def _shard(location: str, facts: dict, storage: Storage, columns: Features, source: str) -> Shard:
    if location.endswith(".tar"):
        return TarShard(location, source, storage, tuple(TarSpan(*span) for span in facts.get("spans", ())))
    if location.endswith(".parquet"):
        aliases = tuple((column, _ALIASES.get(column, (column,))) for column in columns)
        return ParquetShard(location, aliases, storage, tuple(facts.get("rows", ())))
    raise ShardReadError(f"{location} is neither a .parquet nor a .tar file")


def _read_index(storage: Storage, root: str) -> dict[str, dict]:
    location = join(root, INDEX_FILE)
    if not storage.exists(location):
        return {}
    return {shard["file"]: shard for shard in read_index(storage, location)["shards"]}


def _require_complete(storage: Storage, root: str, names: Sequence[str], index: Mapping[str, dict]) -> None:
    """Raise a DamagedShardError unless all shards are there that the index and the names of the others tell of."""
    missing = sorted(set(index) - set(names))
    if missing:
        raise DamagedShardError(
            f"{join(root, INDEX_FILE)} names {len(index)} shards, {len(missing)} of them missing: {_listed(missing)}"
        )
    if not is_remote(root):
        for name, facts in index.items():
            size = storage.size(join(root, name))
            if size != facts.get("bytes", size):
                raise DamagedShardError(
                    f"{join(root, name)} has {size} bytes, {INDEX_FILE} says {facts['bytes']}: the file is damaged, "
                    "or the index is older (write it anew)"
                )
    _require_all_numbers(root, names)


def _require_all_numbers(root: str, names: Sequence[str]) -> None:
    """Raise a DamagedShardError if of the names `train-00000-of-00003.parquet` and so on not all are there."""
    numbers: dict[tuple[str, str, str], set[int]] = {}
    for name in names:
        found = _NUMBERED.match(name)
        if found:
            numbers.setdefault((found["begin"], found["total"], found["suffix"]), set()).add(int(found["number"]))
    for (begin, total, suffix), present in numbers.items():
        expected = set(range(int(total)))
        if int(total) in present:  # counted from 1
            expected = set(range(1, int(total) + 1))
        missing = [f"{begin}-{number:0{len(total)}d}-of-{total}{suffix}" for number in sorted(expected - present)]
        if missing:
            raise DamagedShardError(
                f"{root} holds {len(present)} of {int(total)} shards {begin}-*-of-{total}{suffix}, missing: "
                f"{_listed(missing)}. To load those that are there, name them with data_files=[...]"
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (
        f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    )
