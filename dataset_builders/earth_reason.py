"""EarthReason: implicit questions about aerial images, and masks that answer them (arXiv 2504.09644)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datasets import Features

from .builder import Builder, BuilderConfig
from .errors import LayoutError
from .features import question_features
from .layouts import IMAGE, Layout, find_records
from .options import require_whole_number
from .question_samples import QuestionFileReader
from .shards import Record, Shard

SPLIT = r"(?P<split>train|val|test)"
LAYOUT = Layout(
    description="{train,val,test}/images/NAME.jpg, {train,val,test}/labels/NAME.png, {train,val,test}/QAs/NAME.json",
    images=rf"{SPLIT}/images/(?P<name>[^/]+?){IMAGE}",
    labels=rf"{SPLIT}/labels/(?P<name>[^/]+?)\.png",
)
WORDS = re.compile(rf"{SPLIT}/QAs/(?P<name>[^/]+?)\.json", re.IGNORECASE)


@dataclass
class EarthReasonConfig(BuilderConfig):
    """Options beyond those of every builder.

    Attributes:
        question_number: which question of an image, from 0; officially the first. An image with fewer gives its last.
    """

    question_number: int = 0

    def check(self) -> None:
        super().check()
        require_whole_number("question_number", self.question_number, 0, 1000)


class EarthReason(Builder):
    """The publisher's folders, as its own code reads them, but matched by name.

    The official code pairs the three folders by their sorted order, so that one missing file shifts all that follow.
    """

    BUILDER_CONFIG_CLASS = EarthReasonConfig
    BUILDER_CONFIGS = (EarthReasonConfig(name="default"),)
    DATASET = "s5-earthreason"
    RELEASE_FOLDERS = ("rs_reason_seg/RSReasonSeg", "RSReasonSeg")

    def columns(self) -> Features:
        return question_features()

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        records = find_records([LAYOUT], files, root, self.DATASET)[1]
        words = {found.group("split", "name"): path for path in files if (found := WORDS.fullmatch(path))}
        complete = {
            split: [with_words(record, split, words, root) for record in found] for split, found in records.items()
        }
        reader = QuestionFileReader(self.storage, root, question_number=self.config.question_number)
        return self.file_shards(complete, reader)


def with_words(record: Record, split: str, words: Mapping[tuple[str, str], str], root: str) -> Record:
    """A record with the file of its questions.

    Raises:
        LayoutError: if there is none.
    """
    image, mask, sample_id = record
    name = image.rpartition("/")[2].rpartition(".")[0]
    if (split, name) not in words:
        raise LayoutError(f"{root}: {image} has no questions, expected {split}/QAs/{name}.json")
    return (image, mask, sample_id, words[split, name])
