"""Your own images with questions and masks, named by CSV files."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import Features

from .builder import BandConfig, Builder
from .csv_tables import listed_path, rows_of
from .errors import LayoutError
from .features import question_features
from .layouts import SPLIT_NAMES
from .question_samples import QuestionReader
from .shards import Record, Shard
from .storage import join

UNSPLIT = "questions.csv"


class ImageQuestionMask(Builder):
    """`train.csv`, `val.csv` and `test.csv`, or `questions.csv` for all, with `image,mask,question[,answer][,split]`.

    Paths are relative to the data directory. In a mask everything but black is what was asked for.
    """

    BUILDER_CONFIG_CLASS = BandConfig
    BUILDER_CONFIGS = (BandConfig(name="default"),)
    DATASET = "s5-image-question-mask"

    def columns(self) -> Features:
        return question_features(self.config.reading.column)

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        names = [f"{split}.csv" for split in SPLIT_NAMES if f"{split}.csv" in files]
        names = names or [name for name in (UNSPLIT,) if name in files]
        if not names:
            raise LayoutError(
                f"{root} has none of train.csv, val.csv, test.csv and {UNSPLIT}, with image,mask,question in a line"
            )
        available, records = set(files), {}
        for name in names:
            own = name.removesuffix(".csv")
            for split, record in self._rows(root, name, available):
                records.setdefault(split or (own if own in SPLIT_NAMES else "train"), []).append(record)
        first = next(record for found in records.values() for record in found)
        reader = QuestionReader(self.storage, root, bands=self.config.reading).matching(first)
        return self.file_shards(records, reader)

    def _rows(self, root: str, name: str, available: set[str]) -> list[tuple[str, Record]]:
        """(split or empty, record) of each row of a file."""
        found = []
        table = rows_of(self.storage.read_text(join(root, name)), join(root, name), ("image", "mask", "question"))
        for place, row in table:
            image, mask = (listed_path(row[column], available, place) for column in ("image", "mask"))
            sample_id = f"{image}:{len(found)}"
            record = (image, mask, sample_id, row["question"].strip(), (row.get("answer") or "").strip())
            found.append((row.get("split") or "", record))
        return found
