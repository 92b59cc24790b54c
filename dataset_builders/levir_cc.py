"""LEVIR-CC: images of two dates and sentences that say what changed (Liu et al., TGRS 2022)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Features

from .binary_masks import BinaryEncoding
from .builder import Builder
from .errors import LayoutError, SampleError
from .features import caption_features
from .layouts import SPLIT_NAMES
from .pair_samples import PairReader
from .shards import Record, Sample, Shard
from .storage import join

LIST = "LevirCCcaptions.json"
MASK_FOLDERS = ("label", "mask")


@dataclass(frozen=True)
class CaptionReader(PairReader):
    """Reads (before, after, mask, id, sentences as JSON) records; the mask may be empty."""

    def read(self, record: Record) -> Sample:
        return {**super().read(record), "captions": json.loads(record[4])}


class LEVIRCC(Builder):
    """`images/{train,val,test}/{A,B}/NAME`, a mask of changes in `label` where there is one, and the sentences.

    `LevirCCcaptions.json` holds `{"images": [{"filename": ..., "split": ..., "sentences": [{"raw": ...}, ...]}]}`;
    without `split` the name begins with that of the split, as in `train_000001.png`. Data of your own may have this
    layout too.
    """

    DATASET = "s5-levir-cc"

    def columns(self) -> Features:
        return caption_features()

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        if LIST not in files:
            raise LayoutError(f"{root} has no {LIST}, which holds the sentences")
        location, available = join(root, LIST), set(files)
        records: dict[str, list[Record]] = {}
        for number, entry in enumerate(listed_images(self.storage.read_text(location), location)):
            split, record = caption_record(entry, available, f"{location}, image {number}")
            records.setdefault(split, []).append(record)
        reader = CaptionReader(self.storage, root, BinaryEncoding(least=1))
        return self.file_shards({split: records[split] for split in SPLIT_NAMES if split in records}, reader)


def listed_images(text: str, name: str) -> list[Any]:
    """The images of a list.

    Raises:
        SampleError: it is not JSON, or lists none.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise SampleError(f"{name} is not valid JSON: {error}") from None
    images = content.get("images") if isinstance(content, Mapping) else None
    if not isinstance(images, list) or not images:
        raise SampleError(f'{name}: expected {{"images": [...]}} with at least one image')
    return images


def caption_record(entry: Any, available: set[str], place: str) -> tuple[str, Record]:
    """The split of a listed image, and its record.

    Raises:
        SampleError: it has no name, no split or no sentences.
        LayoutError: a file is missing.
    """
    try:
        name = entry["filename"]
        sentences = [sentence["raw"].strip() for sentence in entry["sentences"]]
        split = entry.get("split") or name.partition("_")[0]
    except (KeyError, TypeError, AttributeError) as error:
        raise SampleError(f"{place}: expected filename and sentences with raw, got {error!r}") from None
    if split not in SPLIT_NAMES or not sentences or not all(sentences):
        raise SampleError(f"{place}: expected a split ({', '.join(SPLIT_NAMES)}) and sentences, got {name!r}")
    dates = [f"images/{split}/{folder}/{name}" for folder in "AB"]
    for path in dates:
        if path not in available:
            raise LayoutError(f"{place}: there is no file {path}")
    masks = (f"images/{split}/{folder}/{name}" for folder in MASK_FOLDERS)
    mask = next((path for path in masks if path in available), "")
    return split, (*dates, mask, name.rpartition(".")[0], json.dumps(sentences))
