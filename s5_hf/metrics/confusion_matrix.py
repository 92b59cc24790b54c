"""Counts of classes that add up, and the one confusion matrix that all segmentation scores come from."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator

from .segmentation_scores import (
    class_accuracy,
    f1_score,
    intersection_over_union,
    mean_over_classes,
    overall_accuracy,
)

__all__ = ["ClassCounts", "ConfusionMatrix", "CountedIds", "counted_ids", "pair_counts"]

ClassIds = torch.Tensor | np.ndarray
Counts = TypeVar("Counts", bound="ClassCounts")


class ClassCounts:
    """Counts per class that add up over images and processes.

    Args:
        num_classes: C, at least 1.
        rows: of the counts.
        ignore_index: reference value that is not counted; `None` for none.
        device: where counts are kept.

    Attributes:
        counts: int64 `(rows, C)`.

    Raises:
        ValueError: if `num_classes` is below 1.
    """

    def __init__(
        self, num_classes: int, rows: int, ignore_index: int | None, device: torch.device | str | None
    ) -> None:
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}")
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.counts = torch.zeros(rows, num_classes, dtype=torch.int64, device=device)

    def reduce(self: Counts, accelerator: Accelerator) -> Counts:
        """New counts, the sum over all processes, the same in each; these keep their own."""
        total = copy.copy(self)
        total.counts = accelerator.reduce(self.counts.clone().to(accelerator.device), "sum").to(self.counts.device)
        return total

    def reset(self) -> None:
        """Set all counts to 0."""
        self.counts.zero_()


class ConfusionMatrix(ClassCounts):
    """Counts how often each class was predicted as each class.

    Counts of several images, and of several processes, add up; scores are taken once, at the end. So they depend
    neither on the batch size nor on the number of processes, as long as every image is counted once.

    Args:
        num_classes: C, at least 1.
        ignore_index: reference value that is not counted, outside 0..C-1; `None` for none.
        device: where counts are kept, by default the processor's memory. Keep them where predictions are made.

    Attributes:
        counts: int64 `(C, C)`. Rows are references, columns are predictions.

    Raises:
        ValueError: if `num_classes` is below 1 or `ignore_index` is one of the classes.
    """

    def __init__(
        self, num_classes: int, ignore_index: int | None = 255, device: torch.device | str | None = None
    ) -> None:
        if ignore_index is not None and 0 <= ignore_index < num_classes:
            raise ValueError(f"ignore_index {ignore_index} is the id of a class: there are {num_classes} classes")
        super().__init__(num_classes, num_classes, ignore_index, device)

    def update(self, predictions: ClassIds, references: ClassIds) -> None:
        """Count pixels.

        Args:
            predictions: class ids in 0..C-1, integers of any shape. Where references are ignored, any value.
            references: class ids in 0..C-1 or `ignore_index`, of the same shape.

        Raises:
            TypeError: if one of them does not hold integers.
            ValueError: if shapes differ or a value is not a class.
        """
        self.add(counted_ids(predictions, references, self.num_classes, self.ignore_index, self.counts.device))

    def add(self, ids: "CountedIds") -> None:
        """Count pixels that have been checked."""
        # Ignored pixels have a row of their own, which is dropped: that is quicker than taking them out of the maps.
        self.counts += pair_counts(ids.predictions, ids.references, self.num_classes)[:-1, :-1]

    def merge(self, other: "ConfusionMatrix") -> None:
        """Add the counts of another part of the same data.

        Raises:
            ValueError: if it has another number of classes.
        """
        if other.num_classes != self.num_classes:
            raise ValueError(f"a matrix of {other.num_classes} classes cannot be added to {self.num_classes} classes")
        self.counts += other.counts.to(self.counts.device)

    def mean_iou(self, left_out: Iterable[int] = ()) -> float:
        """mIoU, in 0..1: the mean of the classes' intersection over union. `left_out`: ids that the mean skips."""
        return mean_over_classes(intersection_over_union(self.counts), left_out)

    def mean_f1(self, left_out: Iterable[int] = ()) -> float:
        """mF1, in 0..1: the mean of the classes' F1 score."""
        return mean_over_classes(f1_score(self.counts), left_out)

    def mean_accuracy(self, left_out: Iterable[int] = ()) -> float:
        """mAcc, in 0..1: the mean of the classes' recall."""
        return mean_over_classes(class_accuracy(self.counts), left_out)

    def overall_accuracy(self) -> float:
        """OA, in 0..1: the share of the counted pixels that are right."""
        return overall_accuracy(self.counts)


@dataclass(frozen=True)
class CountedIds:
    """Two maps of class ids, checked.

    Attributes:
        predictions: of any shape, in 0..C-1; uint8 if C fits, else int32: small maps stay in the processor's caches.
        references: of the same shape and type, in 0..C, where C is an ignored pixel.
    """

    predictions: torch.Tensor
    references: torch.Tensor


def counted_ids(
    predictions: ClassIds, references: ClassIds, num_classes: int, ignore_index: int | None, device: torch.device
) -> CountedIds:
    """Check two maps of class ids, and mark what is ignored.

    Args:
        predictions: class ids in 0..C-1, integers of any shape. Where references are ignored, any value.
        references: class ids in 0..C-1 or `ignore_index`, of the same shape.
        num_classes: C.
        ignore_index: reference value that is not counted; `None` for none.
        device: where the result is wanted.

    Raises:
        TypeError: if one of them does not hold integers.
        ValueError: if shapes differ or a value is not a class.
    """
    predicted = _as_class_ids(predictions, "predictions", device)
    labels = _as_class_ids(references, "references", device)
    if predicted.shape != labels.shape:
        raise ValueError(
            f"predictions have the shape {tuple(predicted.shape)}, but references have {tuple(labels.shape)}"
        )
    ignored = labels == ignore_index if _holds(labels.dtype, ignore_index) else None
    if ignored is not None:
        labels = torch.add(labels, ignored, alpha=-ignore_index)  # 0, for the check; quicker than masked_fill
        if not _in_range(predicted, num_classes):
            predicted = predicted.masked_fill(ignored, 0)
    _require_range(labels, "references", num_classes, ignore_index)
    _require_range(predicted, "predictions", num_classes, ignore_index)
    small = torch.uint8 if num_classes < 256 else torch.int32
    predicted, labels = predicted.to(small), labels.to(small)
    return CountedIds(predicted, labels if ignored is None else torch.add(labels, ignored, alpha=num_classes))


def pair_counts(predictions: torch.Tensor, references: torch.Tensor, num_classes: int) -> torch.Tensor:
    """How often each value of one map meets each value of the other, both in 0..C: int64 `(C + 1, C + 1)`.

    References are in rows.
    """
    values = num_classes + 1
    types = (torch.uint8, torch.int16, torch.int32, torch.int64)
    smallest = next(dtype for dtype in types if _holds(dtype, values**2 - 1))
    pairs = (references.to(smallest) * values).add_(predictions).flatten()
    return torch.bincount(pairs, minlength=values**2).view(values, values)


def _holds(dtype: torch.dtype, value: int | None) -> bool:
    """Whether integers of a type may have the value."""
    limits = torch.iinfo(dtype)
    return value is not None and limits.min <= value <= limits.max


def _in_range(ids: torch.Tensor, num_classes: int) -> bool:
    """Whether all are classes."""
    if ids.numel() == 0:
        return True
    lowest, highest = (value.item() for value in ids.aminmax())
    return lowest >= 0 and highest < num_classes


def _require_range(ids: torch.Tensor, name: str, num_classes: int, ignore_index: int | None) -> None:
    """Raise a ValueError unless all are classes."""
    if not _in_range(ids, num_classes):
        wrong = (ids < 0) | (ids >= num_classes)
        values = torch.unique(ids[wrong])[:5].tolist()
        ignored = "" if ignore_index is None else f" or the ignore index {ignore_index}"
        raise ValueError(f"{name} hold the values {values}, expected 0..{num_classes - 1}{ignored}")


def _as_class_ids(values: ClassIds, name: str, device: torch.device) -> torch.Tensor:
    """Class ids on the device, as int64, or as uint8 where they are.

    Raises:
        TypeError: if they are not integers.
    """
    tensor = values if isinstance(values, torch.Tensor) else torch.from_numpy(np.array(values))
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise TypeError(f"{name} must hold class ids (integers), got {tensor.dtype}")
    return tensor.to(device=device, dtype=torch.uint8 if tensor.dtype == torch.uint8 else torch.int64)
