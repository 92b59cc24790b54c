"""RefSegRS: words that refer to something in an aerial image, and its mask (arXiv 2306.08625)."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import Features

from .builder import Builder
from .errors import LayoutError, SampleError
from .features import question_features
from .layouts import SPLIT_NAMES
from .question_samples import QuestionReader
from .shards import Record, Shard
from .storage import join

LIST = "output_phrase_{}.txt"


class RefSegRS(Builder):
    """`images/ID.tif`, `masks/ID.tif` and `output_phrase_{train,val,test}.txt` with lines `ID phrase`."""

    DATASET = "s5-refsegrs"
    RELEASE_FOLDERS = ("rs_ref_seg/RefSegRS", "RefSegRS")

    def columns(self) -> Features:
        return question_features()

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        lists = {split: LIST.format(split) for split in SPLIT_NAMES if LIST.format(split) in files}
        if not lists:
            raise LayoutError(f"{root} has none of {', '.join(LIST.format(split) for split in SPLIT_NAMES)}")
        available = set(files)
        records = {
            split: phrases(self.storage.read_text(join(root, name)), join(root, name), available)
            for split, name in lists.items()
        }
        return self.file_shards(records, QuestionReader(self.storage, root))


def phrases(text: str, name: str, available: set[str]) -> list[Record]:
    """The records of a list; the ids of samples are their image and the line, as images come several times.

    Raises:
        SampleError: for a line without a phrase, or an empty list.
        LayoutError: if a file is missing.
    """
    records = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        image_id, _, phrase = line.strip().partition(" ")
        if not phrase.strip():
            raise SampleError(f"{name}, line {number}: expected `ID phrase`, got {line!r}")
        image, mask = f"images/{image_id}.tif", f"masks/{image_id}.tif"
        for path in (image, mask):
            if path not in available:
                raise LayoutError(f"{name}, line {number}: there is no file {path}")
        records.append((image, mask, f"{image_id}:{number}", phrase.strip(), ""))
    if not records:
        raise SampleError(f"{name} names no samples")
    return records
