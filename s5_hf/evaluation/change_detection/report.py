"""What an evaluation of change detection leaves: the results of segmentation behind the scores of changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...metrics.change_scores import change_f1, change_iou, semantic_change_scores
from ...metrics.from_to_counts import date_counts
from ..report import percent, table
from ..segmentation.report import SegmentationResults

__all__ = ["ChangeResults", "change_scores"]


def change_scores(counts: torch.Tensor, date_classes: int) -> dict[str, float]:
    """`F1` and `IoU` of changed pixels, and with classes of both dates `sek`, `fscd` and `score` of SECOND, 0..1.

    Args:
        counts: `(classes, classes)`, references in rows.
        date_classes: of each date, 0 for none.
    """
    scores = {"F1": change_f1(counts), "IoU": change_iou(counts)}
    if date_classes:
        scores |= semantic_change_scores(date_counts(counts, date_classes))
    return scores


@dataclass(frozen=True)
class ChangeResults(SegmentationResults):
    """The outcome of an evaluation of change detection.

    Attributes:
        scores: also `change`, the scores of `change_scores`, in percent.
    """

    def published(self) -> tuple[str, float]:
        return "F1", self.scores["change"]["F1"]

    def score_lines(self) -> list[str]:
        change = self.scores["change"]
        return ["", *table(list(change), [[percent(value) for value in change.values()]]), *super().score_lines()]
