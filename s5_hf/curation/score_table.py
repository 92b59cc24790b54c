"""The files that `score` leaves: one Parquet file per part, with metadata that says how the scores were made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .step_folder import first_difference, read_facts

__all__ = ["ENTROPY_COLUMNS", "ScoreFolder", "feature_matrix", "part_name", "score_schema"]

SETTINGS_FILE = "scores.json"
METADATA_KEY = b"s5_hf.curation"
ROW_GROUP_ROWS = 1024
DICTIONARY_COLUMNS = ["source", "problem"]  # of few different values; the others only lose time on dictionaries
ENTROPY_COLUMNS = {
    "excluded": "entropy",
    "renormalised": "entropy_renormalised",
    "included": "entropy_with_background",
}
"""What is done with background -> the column with that entropy."""


def score_schema(num_classes: int, feature_size: int, metadata: dict[str, object]) -> pa.Schema:
    """Columns of a part.

    `image` is the image's number in the list of sources. `feature` has length 1. `hash` is the perceptual hash.
    `problem` says why a patch has no scores (then these are null). `label_counts` are the pixels by class of the
    image's own mask, null without one. `pseudo_mask` is a PNG, null unless asked for.
    """
    entropies = [(name, pa.float32()) for name in ENTROPY_COLUMNS.values()]
    return pa.schema(
        [
            ("id", pa.string()),
            ("source", pa.string()),
            ("image", pa.int64()),
            *((name, pa.int32()) for name in ("left", "top", "width", "height")),
            *entropies,
            ("confidence", pa.float32()),
            ("class_counts", pa.list_(pa.int32(), num_classes)),
            ("feature", pa.list_(pa.float32(), feature_size)),
            ("contrast", pa.float32()),
            ("coherence", pa.float32()),
            ("hash", pa.uint64()),
            ("problem", pa.string()),
            ("label_counts", pa.list_(pa.int32(), num_classes)),
            ("pseudo_mask", pa.binary()),
        ],
        metadata={METADATA_KEY: json.dumps(metadata, sort_keys=True).encode()},
    )


def part_name(part: int) -> str:
    """File name of a part."""
    return f"part-{part:06d}.parquet"


@dataclass(frozen=True)
class ScoreFolder:
    """A finished folder of scores.

    Attributes:
        path: the folder.
        metadata: the settings of `score`: `fingerprint` of the model, `labels`, `background`, `sources` and so on.
        parts: its files in order.
    """

    path: Path
    metadata: dict
    parts: tuple[Path, ...]

    @classmethod
    def open(cls, path: str | Path) -> ScoreFolder:
        """Open a folder that `score` has finished.

        Raises:
            FileNotFoundError: if it is not such a folder, or parts are missing.
            ValueError: if a part was made with other settings.
        """
        path = Path(path)
        metadata = read_facts(path / SETTINGS_FILE, "scores", "score")
        parts = tuple(path / part_name(part) for part in range(metadata["num_parts"]))
        missing = [part.name for part in parts if not part.is_file()]
        if missing:
            raise FileNotFoundError(
                f"{path} is not finished: {len(missing)} of {len(parts)} parts are missing, first {missing[0]}. "
                "Run s5-hf curate score again with the same arguments"
            )
        for part in parts:
            _check_part(part, metadata)
        return cls(path, metadata, parts)

    @property
    def labels(self) -> list[str]:
        """Class names of the segmenter."""
        return self.metadata["labels"]

    @property
    def num_patches(self) -> int:
        """Rows of all parts."""
        return sum(pq.read_metadata(part).num_rows for part in self.parts)

    def batches(self, columns: Sequence[str], batch_rows: int = 65536) -> Iterator[pa.Table]:
        """The rows of all parts in order, some columns of them, a bounded number at a time."""
        for part in self.parts:
            for batch in pq.ParquetFile(part).iter_batches(batch_rows, columns=list(columns), use_threads=True):
                yield pa.Table.from_batches([batch])

    def take(self, rows: np.ndarray, columns: Sequence[str]) -> pa.Table:
        """Some columns of some rows, in the order asked for. The rows' columns are held in memory."""
        ascending = np.argsort(rows, kind="stable")
        wanted, pieces, start = rows[ascending], [], 0
        for part in self.parts:
            file = pq.ParquetFile(part)
            stop = start + file.metadata.num_rows
            first, last = np.searchsorted(wanted, [start, stop])
            if last > first:
                table = file.read(columns=list(columns), use_threads=True)
                pieces.append(table.take(pa.array(wanted[first:last] - start)))
            start = stop
        if not pieces:
            return pq.read_schema(self.parts[0]).empty_table().select(list(columns))
        back = np.empty(len(rows), dtype=np.int64)
        back[ascending] = np.arange(len(rows))
        return pa.concat_tables(pieces).combine_chunks().take(pa.array(back))


def feature_matrix(column: pa.ChunkedArray) -> np.ndarray:
    """A column of fixed-size lists without nulls as an array `(rows, size)`."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), array.type.list_size)


def read_part_metadata(part: Path) -> dict:
    """What a part says about how it was made.

    Raises:
        ValueError: if it is not a part of scores.
    """
    metadata = (pq.read_schema(part).metadata or {}).get(METADATA_KEY)
    if metadata is None or not re.fullmatch(r"part-\d{6}\.parquet", part.name):
        raise ValueError(f"{part} was not written by s5-hf curate score")
    return json.loads(metadata)


def _check_part(part: Path, expected: dict) -> None:
    found = read_part_metadata(part)
    key = first_difference(found, expected)
    if key is not None:
        raise ValueError(
            f"{part} was made with other settings: {key} is {found.get(key)!r}, {SETTINGS_FILE} says {expected[key]!r}"
        )
