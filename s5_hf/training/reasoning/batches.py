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


def columns_alone(samples: Any, *names: str) -> Any:
    """Samples with these columns only where they are a table, so that others are not decoded; else as they are."""
    return samples.select_columns(list(names)) if hasattr(samples, "select_columns") else samples


class QuestionGroups(Sequence):
    """Samples by image: `id`, and the numbers of its `members` among `images` and `questions`, the samples' columns.

    Args:
        samples: with `id`; those whose ids share what stands before the last colon are of one image.
        grouped: whether several questions about an image go together; if not, every sample is a group.
    """

    def __init__(self, samples: Any, grouped: bool) -> None:
        self._images = columns_alone(samples, "image")
        self._questions = columns_alone(samples, "mask", "question", "answer")
        ids = samples["id"] if hasattr(samples, "column_names") else [sample["id"] for sample in samples]
        groups: dict[str, list[int]] = {}
        for index, name in enumerate(map(str, ids)):
            groups.setdefault((name.rpartition(":")[0] or name) if grouped else f"{name} {index}", []).append(index)
        self._groups = list(groups.items())

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, index: int) -> dict[str, Any]:
        name, members = self._groups[index]
        return {"id": name, "members": members, "images": self._images, "questions": self._questions}


@dataclass(frozen=True)
class QuestionView:
    """Makes a row of a group; as in the official training, images are not changed.

    Attributes:
        processor: of the network.
        seed: of the run.
        per_image: questions about an image in a row, chosen anew in every epoch.
    """

    processor: SegEarthR1Processor
    seed: int
    per_image: int = 1

    def __call__(self, group: Mapping[str, Any], epoch: int) -> Row:
        """The image and the masks in the network's frame, the words, and a random number for each question.

        Raises:
            ValueError: if a sample has no mask; names it.
        """
        name, members = str(group["id"]), group["members"]
        draws = np.random.default_rng([self.seed, epoch, zlib.crc32(name.encode())])
        chosen = draws.choice(len(members), self.per_image, replace=len(members) < self.per_image)
        samples = [group["questions"][members[index]] for index in chosen.tolist()]
        for sample in samples:
            if sample["mask"] is None:
                raise ValueError(f"{name} has no mask to learn from")
        images = self.processor.image_processor
        image = group["images"][members[chosen[0]]]["image"]
        batch = images(image_pixels(image), return_tensors="pt")
        masks = [images.frame_mask(np.asarray(sample["mask"])) for sample in samples]
        return {
            "pixel_values": batch["pixel_values"][0],
            "mask_labels": torch.from_numpy(np.stack(masks).astype(np.uint8)),
            "questions": [sample["question"] for sample in samples],
            "answers": [sample.get("answer") or "" for sample in samples],
            "point_seeds": torch.from_numpy(draws.integers(2**31, size=self.per_image)),
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
        questions = [question for row in rows for question in row["questions"]]
        answers = [answer for row in rows for answer in row["answers"]] if self.learns_language else None
        prompts = self.processor.encode_prompts(questions, answers, self.kind).as_inputs()
        if not self.learns_language:
            del prompts["labels"]
        counts = torch.tensor([len(row["questions"]) for row in rows])
        return {
            "pixel_values": torch.stack([row["pixel_values"] for row in rows]),
            "image_rows": torch.repeat_interleave(torch.arange(len(rows)), counts),
            **{name: torch.cat([row[name] for row in rows]) for name in ("mask_labels", "point_seeds")},
            **prompts,
        }
