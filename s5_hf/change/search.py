"""Changes of named classes between two images, in two orders of the same steps.

Source: DynamicEarth (arXiv 2501.12931): mask, compare, identify (M-C-I) and identify, mask, compare (I-M-C).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .comparison import change_angles, scene_angle
from .interfaces import FeatureExtractor, MaskProposer, NamedObjects, ObjectFinder, Recognizer
from .joining import join_dates, without_counterpart
from .masks import Masks
from .recognition import BACKGROUND, is_instance_change, is_land_cover_change, mask_classes

__all__ = ["Changes", "IdentifyMaskCompare", "MaskCompareIdentify", "SearchChanges"]

INSTANCE_ANGLE = 35.0
"""Degrees; 145 in the terms of the paper, which counts from the other end."""


@dataclass(frozen=True)
class Changes:
    """Objects that changed between two images.

    Attributes:
        masks: of the objects.
        classes_before, classes_after: int64 `(masks,)`; 0 is the background.
        angles: by which the features turned, in degrees, float64 `(masks,)`.
        confidences: of the class that is not the background, float64 `(masks,)`, 0..1.
    """

    masks: Masks
    classes_before: np.ndarray
    classes_after: np.ndarray
    angles: np.ndarray
    confidences: np.ndarray

    def __len__(self) -> int:
        return len(self.masks)

    def of_class(self, class_id: int) -> np.ndarray:
        """Which of them were or became a class, bool `(masks,)`."""
        return (self.classes_before == class_id) | (self.classes_after == class_id)

    def select(self, chosen: np.ndarray) -> Changes:
        """Some of the changes, by bool `(masks,)` or indices."""
        return Changes(
            self.masks.select(chosen),
            self.classes_before[chosen],
            self.classes_after[chosen],
            self.angles[chosen],
            self.confidences[chosen],
        )


class SearchChanges(Protocol):
    """Finds changes.

    Attributes:
        labels: names of the classes; the first one is the background.
    """

    labels: Sequence[str]

    def find(self, before: np.ndarray, after: np.ndarray) -> Changes:
        """The changes between two images of one place, uint8 RGB `(height, width, 3)`."""
        ...


class MaskCompareIdentify:
    """M-C-I: masks of both dates, of which those stay whose features turned, and whose classes differ.

    Args:
        proposer, extractor, recognizer: the three parts.
        least_angle: degrees by which the features must turn (180 minus theta of the paper); None for the threshold of
            Otsu on each pair of images, which always finds some change.
        instances: whether classes are objects, which stand on a background: a mask must then be one at the date whose
            image it comes from. If not, any change of class counts (land cover).
        threshold: lowest mean probability of a class; below it is the background.

    Raises:
        ValueError: an angle or a threshold is out of range.
    """

    def __init__(
        self,
        proposer: MaskProposer,
        extractor: FeatureExtractor,
        recognizer: Recognizer,
        least_angle: float | None = INSTANCE_ANGLE,
        instances: bool = True,
        threshold: float = 0.0,
    ) -> None:
        require_angle(least_angle)
        if not 0 <= threshold <= 1:
            raise ValueError(f"the threshold of probabilities must be 0..1, got {threshold}")
        self._proposer, self._extractor, self._recognizer = proposer, extractor, recognizer
        self._least_angle, self._threshold = least_angle, threshold
        self._is_change = is_instance_change if instances else is_land_cover_change
        self.labels = recognizer.labels

    def find(self, before: np.ndarray, after: np.ndarray) -> Changes:
        """The changes between two images; see `SearchChanges`."""
        require_pair(before, after)
        masks, count_before = join_dates(self._proposer.propose(before), self._proposer.propose(after))
        turned, angles = turned_masks(masks, self._extractor, before, after, self._least_angle)
        masks, angles, count_before = masks.select(turned), angles[turned], int(turned[:count_before].sum())
        classes, probabilities = zip(
            *(
                mask_classes(masks, self._recognizer.probabilities(image), self._threshold)
                for image in (before, after)
            ),
            strict=True,
        )
        is_object = [found != BACKGROUND for found in classes]
        confidences = np.maximum(probabilities[0] * is_object[0], probabilities[1] * is_object[1])
        changes = Changes(masks, *classes, angles, confidences)
        return changes.select(self._is_change(*classes, count_before))


class IdentifyMaskCompare:
    """I-M-C: objects that only one date shows, of which those stay whose features turned.

    Args:
        finder: of the objects.
        extractor: of the features.
        least_angle: as `MaskCompareIdentify`.
        compare_lone_date: whether objects are compared too where the other date has none of the class.

    Raises:
        ValueError: an angle is out of range.
    """

    def __init__(
        self,
        finder: ObjectFinder,
        extractor: FeatureExtractor,
        least_angle: float | None = INSTANCE_ANGLE,
        compare_lone_date: bool = True,
    ) -> None:
        require_angle(least_angle)
        self._finder, self._extractor, self._least_angle = finder, extractor, least_angle
        self._compare_lone_date = compare_lone_date
        self.labels = finder.labels

    def find(self, before: np.ndarray, after: np.ndarray) -> Changes:
        """The changes between two images; see `SearchChanges`."""
        require_pair(before, after)
        objects = self._finder.find(before), self._finder.find(after)
        parts = [_alone(objects, class_id) for class_id in range(1, len(self.labels))]
        masks = Masks.joined([part.masks for part in parts])
        turned, angles = turned_masks(masks, self._extractor, before, after, self._least_angle)
        if not self._compare_lone_date:
            turned |= np.concatenate([np.full(len(part.masks), part.is_lone) for part in parts])
        classes = np.concatenate([part.classes for part in parts], axis=1)
        changes = Changes(masks, *classes, angles, masks.scores.astype(np.float64))
        return changes.select(turned)


@dataclass(frozen=True)
class _Alone:
    """Objects of one class that one date shows and the other does not.

    Attributes:
        masks: of the objects.
        classes: int64 `(2, masks)`, before and after.
        is_lone: whether one date has no object of the class.
    """

    masks: Masks
    classes: np.ndarray
    is_lone: bool


def _alone(objects: tuple[NamedObjects, NamedObjects], class_id: int) -> _Alone:
    before, after = (found.masks.select(found.classes == class_id) for found in objects)
    masks, count_before = without_counterpart(before, after)
    own_date = np.arange(len(masks)) >= count_before  # 0 for the first date, 1 for the second
    classes = np.full((2, len(masks)), BACKGROUND)
    classes[own_date.astype(int), np.arange(len(masks))] = class_id
    return _Alone(masks, classes, not len(before) or not len(after))


def turned_masks(
    masks: Masks, extractor: FeatureExtractor, before: np.ndarray, after: np.ndarray, least_angle: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Which masks have features that turned by more than an angle, bool `(masks,)`, and the angles in degrees."""
    if not len(masks):
        return np.zeros(0, dtype=bool), np.zeros(0)
    features = extractor.features(before), extractor.features(after)
    angles = change_angles(masks, *features)
    if least_angle is None:
        least_angle = scene_angle(*features, *before.shape[:2])
    return angles > least_angle, angles


def require_pair(before: np.ndarray, after: np.ndarray) -> None:
    """Raise a ValueError unless both are images uint8 RGB `(height, width, 3)` of one size."""
    for image in (before, after):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"expected images uint8 (height, width, 3), got {image.dtype} {image.shape}")
    if before.shape != after.shape:
        raise ValueError(f"the images differ in size: {before.shape[:2]} and {after.shape[:2]} pixels")


def require_angle(least_angle: float | None) -> None:
    """Raise a ValueError unless an angle is None or lies in 0..180 degrees."""
    if least_angle is not None and not 0 <= least_angle <= 180:
        raise ValueError(f"the least angle must be 0..180 degrees, got {least_angle}")
