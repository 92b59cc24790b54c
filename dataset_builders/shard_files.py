"""Finding Parquet and tar shards in a folder, and the index that spares a look into each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from datasets import Features

from .errors import ShardReadError
from .parquet_shards import ParquetShard
from .shards import Shard
from .storage import INDEX_FILE, Storage, join
from .tar_shards import TarShard, TarSpan

_SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test", "trainval": "trainval"}
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
    """
    if isinstance(files, Mapping):
        named = [(split, location, location) for split, paths in files.items() for location in paths]
        index = {}
    else:
        names = [name for name in files if name.endswith((".parquet", ".tar"))]
        index = _read_index(storage, root) if names else {}
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
    try:
        return {shard["file"]: shard for shard in json.loads(storage.read(location))["shards"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ShardReadError(f"{location} is no index of shards: {error}") from error
