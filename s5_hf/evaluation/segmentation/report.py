"""What an evaluation of segmentation leaves: its results, and `confusion_matrix.png`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..pictures import draw_confusion_matrix
from ..report import EvaluationResults, percent, table

__all__ = ["SegmentationResults"]

_MEANS = ("mIoU", "mF1", "mAcc", "OA", "boundary_mIoU")
_COLUMNS = ("IoU", "F1", "precision", "recall", "boundary_IoU", "share")


@dataclass(frozen=True)
class SegmentationResults(EvaluationResults):
    """The outcome of an evaluation of segmentation.

    Attributes:
        scores: of [`SegmentationCounts.scores`], in percent; `None` if the images have no labels.
        class_maps: folder of the predictions, `None` if none were written.
    """

    class_maps: str | Path | None

    def published(self) -> tuple[str, float]:
        metric = self.data.entry.evaluation.metric
        return metric, self.scores[metric]

    def facts(self) -> dict[str, Any]:
        return {
            "class_maps": None if self.class_maps is None else str(self.class_maps),
            "class_map": None if self.data.class_map is None else self.data.class_map.values,
        }

    def remarks(self) -> list[str]:
        if self.data.class_map is None:
            return []
        names = dict(enumerate(self.data.labels))
        translation = ", ".join(
            f"{value}: {names.get(target, 'ignored')}" for value, target in self.data.class_map.values.items()
        )
        return [f"- Masks: translated to the classes of the model by its class map ({translation})"]

    def written(self) -> list[str]:
        return [] if self.class_maps is None else [f"- Class maps: `{self.class_maps}`"]

    def score_lines(self) -> list[str]:
        left_out, per_class = self.scores["left_out"], self.scores["per_class"]
        means = [name for name in _MEANS if name in self.scores]
        columns = [name for name in _COLUMNS if name in next(iter(per_class.values()))]
        return [
            *([f"- Left out of the means: {', '.join(left_out)}"] if left_out else []),
            *self._absent_classes(),
            "",
            *table(means, [[percent(self.scores[name]) for name in means]]),
            "",
            *table(
                ["class", *columns],
                [[label, *(percent(row[name]) for name in columns)] for label, row in per_class.items()],
            ),
        ]

    def picture(self, title: str) -> tuple[str, Image.Image]:
        matrix = np.array(self.scores["confusion_matrix"])
        return "confusion_matrix.png", draw_confusion_matrix(matrix, self.data.labels, title)

    def _absent_classes(self) -> list[str]:
        """A line on the classes that no mask of the split shows."""
        absent = self.scores["absent"]
        if not absent:
            return []
        line = f"- **In no mask of this split: {', '.join(absent)}**"
        predicted = [
            label
            for label in absent
            if label not in self.scores["left_out"] and not math.isnan(self.scores["per_class"][label]["IoU"])
        ]
        if predicted:
            line += (
                f". Predicted all the same, and so in the means with 0: {', '.join(predicted)} "
                "(`--leave-out-absent` leaves such classes out)"
            )
        return [line]
