"""Batches of images, questions and masks, as the network takes them."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...imaging import image_pixels
from ...modeling import SegEarthR1Processor

Row = dict[str, Any]


@dataclass(frozen=True)
class QuestionView:
    """Makes a row of a sample with `image`, `mask`, `question`, `answer` and `id`; official training changes nothing.

    Attributes:
        processor: of the network.
        seed: of the run.
    """

    processor: SegEarthR1Processor
    seed: int

    def __call__(self, sample: Mapping[str, Any], epoch: int) -> Row:
        """The image and the mask in the network's frame, the words, and a random number of the sample and epoch.

        Raises:
            ValueError: if the sample has no mask; names it.
        """
        name = str(sample["id"])
        if sample["mask"] is None:
            raise ValueError(f"{name} has no mask to learn from")
        mask = np.asarray(sample["mask"])
        batch = self.processor.image_processor(image_pixels(sample["image"]), mask, return_tensors="pt")
        words = f"{self.seed}:{epoch}:{name}:{sample['question']}"
        return {
            "pixel_values": batch["pixel_values"][0],
            "mask_labels": batch["labels"][0].to(torch.uint8),
            "question": sample["question"],
            "answer": sample.get("answer") or "",
            "point_seeds": torch.tensor(zlib.crc32(words.encode())),
        }


@dataclass(frozen=True)
class QuestionCollation:
    """Makes a batch of rows: images stacked, words as padded tokens.

    Attributes:
        processor: of the network.
        kind: of the prompt.
        learns_language: whether the answers are learned; if not, prompts end with the question.
    """

    processor: SegEarthR1Processor
    kind: str
    learns_language: bool

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """The arguments of the network."""
        names = ("pixel_values", "mask_labels", "point_seeds")
        batch = {name: torch.stack([row[name] for row in rows]) for name in names}
        answers = [row["answer"] for row in rows] if self.learns_language else None
        prompts = self.processor.encode_prompts([row["question"] for row in rows], answers, self.kind).as_inputs()
        if not self.learns_language:
            del prompts["labels"]
        return {**batch, **prompts}
