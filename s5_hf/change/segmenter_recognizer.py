"""Classes, and objects of them, by a segmenter: one of fixed classes or one that is given names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from ..predictors.interfaces import SceneSegmenter
from ..predictors.log_probabilities import gives_log_probabilities
from ..predictors.normalization import normalize_pixels
from .interfaces import NamedObjects, Recognizer
from .masks import Masks
from .recognition import BACKGROUND
from .superpixels import segments_as_masks

__all__ = ["SegmenterObjects", "SegmenterRecognizer"]

OFFICIAL_SIDE = 448
_MULTIPLE = 16


class SegmenterRecognizer:
    """Class probabilities of an image that is brought to a square first, as published; see `Recognizer`.

    Args:
        segmenter: of three channels.
        side: of the square in pixels, a multiple of 16; None for the size of the image, to the next multiple.

    Raises:
        ValueError: the side is not a multiple of 16, or the segmenter takes other images or has a single class.
    """

    def __init__(self, segmenter: SceneSegmenter, side: int | None = OFFICIAL_SIDE) -> None:
        if side is not None and (side < _MULTIPLE or side % _MULTIPLE):
            raise ValueError(f"the side must be a multiple of {_MULTIPLE} pixels, got {side}")
        if segmenter.num_labels < 2 or len(segmenter.image_mean) != 3:
            raise ValueError(
                "changes are found by a segmenter of three channels and at least two classes, got one of "
                f"{len(segmenter.image_mean)} and {segmenter.num_labels}"
            )
        self._segmenter, self._side = segmenter, side
        self.labels: Sequence[str] = [segmenter.id2label[index] for index in range(segmenter.num_labels)]

    @torch.inference_mode()
    def probabilities(self, image: np.ndarray) -> Tensor:
        """Class probabilities; see `Recognizer`."""
        size = (self._side, self._side) if self._side else _whole_multiples(image.shape)
        resized = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None]
        logits = self._segmenter.predict(normalize_pixels(pixels.to(self._segmenter.device), self._segmenter))[0]
        # The logits of an open-vocabulary model are logarithms of probabilities that need not add up to 1.
        return logits.exp() if gives_log_probabilities(self._segmenter) else logits.softmax(dim=0)


class SegmenterObjects:
    """Connected regions of one class as objects; see `ObjectFinder`.

    Args:
        recognizer: whose first class is the background.
        minimum_area: pixels; smaller regions are no objects.
    """

    def __init__(self, recognizer: Recognizer, minimum_area: int = 16) -> None:
        self._recognizer, self._minimum_area = recognizer, minimum_area
        self.labels = recognizer.labels

    def find(self, image: np.ndarray) -> NamedObjects:
        """The objects in an image; see `ObjectFinder`."""
        probabilities = self._recognizer.probabilities(image)[None].float()
        probabilities = functional.interpolate(probabilities, size=image.shape[:2], mode="bilinear")[0]
        best = probabilities.argmax(dim=0).cpu().numpy()
        parts, classes = [Masks.none(*image.shape[:2])], []
        for class_id in range(BACKGROUND + 1, len(self.labels)):
            regions, _ = ndimage.label(best == class_id)
            masks = segments_as_masks(regions - 1)
            large = masks.select(masks.areas >= self._minimum_area)
            confidences = [mean_of(probabilities[class_id], large, index) for index in range(len(large))]
            parts.append(replace(large, scores=np.array(confidences, dtype=np.float32)))
            classes += [class_id] * len(large)
        return NamedObjects(Masks.joined(parts), np.array(classes, dtype=np.int64))


def mean_of(values: Tensor, masks: Masks, index: int) -> float:
    """The mean of values `(height, width)` under a mask."""
    left, top, right, bottom = masks.boxes[index]
    return float(values[top : bottom + 1, left : right + 1].cpu()[torch.from_numpy(masks.crops[index])].mean())


def _whole_multiples(shape: Sequence[int]) -> tuple[int, int]:
    """Width and height of an image as multiples of 16."""
    height, width = (max(1, round(side / _MULTIPLE)) * _MULTIPLE for side in shape[:2])
    return width, height
