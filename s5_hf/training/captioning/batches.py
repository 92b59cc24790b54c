"""Pairs of images with one of their sentences, as the network takes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...imaging import image_pixels
from ...modeling import MVCCProcessor

Row = dict[str, Any]


class SentencePairs:
    """Every sentence of every pair as a sample of its own, as officially.

    Args:
        samples: with `image_before`, `image_after`, `mask`, `captions` and `id`.
        counts: sentences of each.
    """

    def __init__(self, samples: Any, counts: Sequence[int]) -> None:
        self._samples = samples
        self._places = [(index, number) for index, count in enumerate(counts) for number in range(count)]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: int) -> Mapping[str, Any]:
        index, number = self._places[place]
        sample = self._samples[index]
        return {**sample, "caption": sample["captions"][number]}


@dataclass(frozen=True)
class CaptionView:
    """Makes a row of a sample; official training changes nothing.

    Attributes:
        processor: of the network.
    """

    processor: MVCCProcessor

    def __call__(self, sample: Mapping[str, Any], epoch: int) -> Row:
        """Frames, the cells of the mask (all of them where a sample has none), and the sentence."""
        return {**pair_inputs(self.processor, sample), "caption": sample["caption"]}


@dataclass(frozen=True)
class CaptionCollation:
    """Makes a batch of rows: images stacked, sentences as padded words.

    Attributes:
        processor: of the network.
    """

    processor: MVCCProcessor

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """The arguments of the network."""
        sentences = [row["caption"] for row in rows]
        options = {"padding": True, "truncation": True, "return_tensors": "pt"}
        labels = self.processor.tokenizer(sentences, **options)["input_ids"]
        names = ("pixel_values", "change_mask")
        return {**{name: torch.stack([row[name] for row in rows]) for name in names}, "labels": labels}


def pair_inputs(processor: MVCCProcessor, sample: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """`pixel_values` and `change_mask` of a sample, without a batch axis."""
    before, after = (image_pixels(sample[f"image_{date}"]) for date in ("before", "after"))
    mask = np.asarray(sample["mask"]) if sample.get("mask") is not None else np.ones(before.shape[:2], np.uint8)
    batch = processor.image_processor(before, after, mask, return_tensors="pt")
    return {name: batch[name][0] for name in ("pixel_values", "change_mask")}
