"""Finding Parquet and tar shards in a folder, and the index that spares a look into each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datasets import Features

from .errors import DamagedShardError, ShardReadError
from .parquet_shards import ParquetShard
from .shard_format import COLUMN_NAMES, INDEX_FILE, PARQUET, TAR, is_shard, missing_numbers, parse_index, split_of
from .shards import Shard
from .storage import Storage, is_remote, join
from .tar_shards import TarShard, TarSpan

_MOST_NAMES = 5


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
        names = [name for name in files if is_shard(name)]
        index = _read_index(storage, root) if names else {}
        _require_complete(storage, root, names, index)
        named = [(index.get(name, {}).get("split") or split_of(name), name, join(root, name)) for name in names]
    found: dict[str, list[Shard]] = {}
    for split, name, location in named:
        shard = _shard(location, index.get(name, {}), storage, columns, source)
        found.setdefault(split, []).append(shard)
    return found


def _shard(location: str, facts: dict, storage: Storage, columns: Features, source: str) -> Shard:
    if location.endswith(TAR):
        if "image" not in columns:
            raise ShardReadError(f"{location} is a tar file, which holds one image per sample; write pairs as Parquet")
        return TarShard(location, source, storage, tuple(TarSpan(*span) for span in facts.get("spans", ())))
    if location.endswith(PARQUET):
        aliases = tuple((column, COLUMN_NAMES.get(column, (column,))) for column in columns)
        return ParquetShard(location, aliases, storage, tuple(facts.get("rows", ())))
    raise ShardReadError(f"{location} is neither a .parquet nor a .tar file")


def _read_index(storage: Storage, root: str) -> dict[str, dict]:
    location = join(root, INDEX_FILE)
    if not storage.exists(location):
        return {}
    return {shard["file"]: shard for shard in parse_index(storage.read(location), location)["shards"]}


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
                    "or the index is out of date (write it again)"
                )
    for series, (present, total, missing) in missing_numbers(names).items():
        raise DamagedShardError(
            f"{root} holds {present} of {total} shards {series}, missing: {_listed(missing)}. To load those that are "
            "there, name them with data_files=[...]"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (
        f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    )
