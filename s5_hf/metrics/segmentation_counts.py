"""Everything that is counted in a segmentation, with the names of its classes, and the scores that follow."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator

from .boundary import BoundaryCounts
from .confusion_matrix import ClassIds, ConfusionMatrix, counted_ids
from .segmentation_scores import class_table, summary

__all__ = ["SegmentationCounts"]


class SegmentationCounts:
    """Confusion matrix and boundary counts of named classes.

    Args:
        labels: class names in the order of their ids.
        ignore_index: reference value without a class; `None` for none.
        left_out: names of classes excluded from the means. They still compete for pixels.
        boundary: whether to count boundaries, too.
        device: where counts are kept.

    Raises:
        ValueError: if `left_out` names an unknown class or every class, or `ignore_index` is a class.
    """

    def __init__(
        self,
        labels: Sequence[str],
        ignore_index: int | None = 255,
        left_out: Sequence[str] = (),
        boundary: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        self.labels = tuple(labels)
        unknown = sorted(set(left_out) - set(self.labels))
        if unknown:
            raise ValueError(f"left_out names {', '.join(unknown)}; the classes: {', '.join(self.labels)}")
        if set(left_out) == set(self.labels):
            raise ValueError("left_out leaves no class for the mean")
        self.left_out = tuple(index for index, label in enumerate(self.labels) if label in left_out)
        self.confusion = ConfusionMatrix(len(self.labels), ignore_index, device)
        self.boundary = BoundaryCounts(len(self.labels), ignore_index, device=device) if boundary else None

    def update(self, predictions: ClassIds, references: ClassIds) -> None:
        """Count one image: class ids `(height, width)`.

        Raises:
            TypeError, ValueError: as [`ConfusionMatrix`] and [`BoundaryCounts`].
        """
        counted = self.confusion
        ids = counted_ids(predictions, references, counted.num_classes, counted.ignore_index, counted.counts.device)
        if self.boundary is not None:
            self.boundary.add(ids)
        self.confusion.add(ids)

    def reduce(self, accelerator: Accelerator) -> "SegmentationCounts":
        """New counts, the sum over all processes, the same in each."""
        total = copy.copy(self)
        total.confusion = self.confusion.reduce(accelerator)
        total.boundary = None if self.boundary is None else self.boundary.reduce(accelerator)
        return total

    def reset(self) -> None:
        """Set all counts to 0."""
        self.confusion.reset()
        if self.boundary is not None:
            self.boundary.reset()

    def scores(self, leave_out_absent: bool = False) -> dict[str, Any]:
        """What the counts say, all scores in 0..1 and NaN where they are not defined.

        Args:
            leave_out_absent: whether means leave out classes that the references never show (unless no class would
                be left). Otherwise such a class counts with 0 as soon as it is predicted anywhere.

        Returns:
            `mIoU`, `mF1`, `mAcc`, `OA` and, if counted, `boundary_mIoU`; `per_class`, by label: `IoU`, `F1`,
            `precision`, `recall`, `share` and, if counted, `boundary_IoU`; `left_out`: labels that the means leave
            out; `absent`: labels that the references never show; `confusion_matrix`: pixel counts as lists, references
            in rows.
        """
        counts = self.confusion.counts.cpu()
        absent = [index for index, total in enumerate(counts.sum(1).tolist()) if total == 0]
        left_out = tuple(sorted({*self.left_out, *absent}))
        if not leave_out_absent or len(left_out) == len(self.labels):
            left_out = self.left_out
        values: dict[str, Any] = summary(counts, left_out)
        table = class_table(counts, self.labels)
        if self.boundary is not None:
            values["boundary_mIoU"] = self.boundary.mean(left_out)
            for row, value in zip(table.values(), self.boundary.per_class().tolist(), strict=True):
                row["boundary_IoU"] = value
        values["per_class"] = table
        values["left_out"] = [self.labels[index] for index in left_out]
        values["absent"] = [self.labels[index] for index in absent]
        values["confusion_matrix"] = counts.tolist()
        return values
