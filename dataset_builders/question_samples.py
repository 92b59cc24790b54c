"""Raw samples of pixel reasoning: an image, a question or words that refer to something, and the mask that answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from .binary_masks import BinaryEncoding
from .errors import SampleError
from .samples import ImageReader, read_mask_value
from .shards import Record, Sample
from .storage import join

ENCODING = BinaryEncoding(least=1)
"""Anything but black is what was asked for."""


@dataclass(frozen=True)
class QuestionReader(ImageReader):
    """Reads (image, mask, id, question, answer) records; the mask may be empty for splits without one."""

    def read(self, record: Record) -> Sample:
        image = self.image(record[0])
        mask = self.mask(record[1], image)
        question, answer = self.words(record)
        return {
            "image": image.value,
            "mask": None if mask is None else read_mask_value(mask, ENCODING),
            "question": question,
            "answer": answer,
            "id": record[2],
        }

    def words(self, record: Record) -> tuple[str, str]:
        """The question and the answer of a record."""
        return record[3], record[4]


@dataclass(frozen=True)
class QuestionFileReader(QuestionReader):
    """Reads (image, mask, id, JSON) records: the file holds `{"questions": [...], "answer": [...]}`.

    Attributes:
        question_number: which of the questions and answers, from 0; the last one where there are fewer.
    """

    question_number: int = 0

    def words(self, record: Record) -> tuple[str, str]:
        location = join(self.root, record[3])
        try:
            content = json.loads(self.storage.read_text(location))
        except json.JSONDecodeError as error:
            raise SampleError(f"{location} is not valid JSON: {error}") from None
        questions = content.get("questions") if isinstance(content, Mapping) else None
        if not isinstance(questions, list) or not questions or not all(isinstance(one, str) for one in questions):
            raise SampleError(f'{location}: expected {{"questions": ["...", ...], "answer": ["...", ...]}}')
        answers = content.get("answer") or [""]
        answers = [answers] if isinstance(answers, str) else answers
        return tuple(str(texts[min(self.question_number, len(texts) - 1)]) for texts in (questions, answers))
