"""What an evaluation of detection leaves: its results, and `precision_recall.png`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ...metrics.average_precision import PrecisionRecall
from ..pictures import draw_precision_recall
from ..report import EvaluationResults, percent, table
from .protocol import DetectionProtocol

__all__ = ["DetectionResults"]

_MEANS = {
    "map_50": "mAP50 (area)",
    "map_50_voc07": "mAP50 (11 points)",
    "map": "mAP50:95 (area)",
    "map_voc07": "mAP50:95 (11 points)",
}
_COLUMNS = {"ap_50": "AP50 (area)", "ap_50_voc07": "AP50 (11 points)", "ap": "AP50:95 (area)"}


@dataclass(frozen=True)
class DetectionResults(EvaluationResults):
    """The outcome of an evaluation of detection.

    Attributes:
        scores: of [`OrientedAveragePrecision.compute`], in percent; `None` if the images have no labels.
        curves: precision over recall at IoU 0.5 per class; `None` if the images have no labels.
        patches: whether the images are patches of larger ones.
        detections: folder of the result files, `None` if none were written.
    """

    protocol: DetectionProtocol
    curves: Mapping[str, PrecisionRecall] | None
    patches: bool
    detections: str | Path | None

    def published(self) -> tuple[str, float]:
        return "mAP50", self.scores[self._key("map_50")]

    def headline(self) -> str:
        """The published metric in percent, and of which kind it is."""
        if self.scores is None:
            return super().headline()
        kind = "area under the curve"
        if self.protocol.average_precision == "voc07":
            kind = "VOC 2007, 11 points" + (", official recalls" if self.protocol.official_recalls else "")
        return f"{super().headline()} ({kind})"

    def facts(self) -> dict[str, Any]:
        return {
            "images_are_patches": self.patches,
            "detections": None if self.detections is None else str(self.detections),
        }

    def remarks(self) -> list[str]:
        if not self.patches:
            return []
        return ["- The images are patches and are scored as such; published numbers are of whole images"]

    def written(self) -> list[str]:
        merged = ", patches merged to whole images" if self.patches else ""
        return [] if self.detections is None else [f"- Result files (DOTA, Task 1{merged}): `{self.detections}`"]

    def score_lines(self) -> list[str]:
        per_class = self.scores["per_class"]
        absent = [label for label, row in per_class.items() if row["references"] == 0]
        rows = [
            [label, *(percent(row[name]) for name in _COLUMNS), f"{row['references']:,}", f"{row['detections']:,}"]
            for label, row in per_class.items()
        ]
        return [
            *([f"- **No objects in this split, so left out of the means: {', '.join(absent)}**"] if absent else []),
            "",
            *table(list(_MEANS.values()), [[percent(self.scores[name]) for name in _MEANS]]),
            "",
            *table(["class", *_COLUMNS.values(), "objects", "detections"], rows),
        ]

    def picture(self, title: str) -> tuple[str, Image.Image]:
        average = {label: row[self._key("ap_50")] for label, row in self.scores["per_class"].items()}
        return "precision_recall.png", draw_precision_recall(self.curves, average, title)

    def _key(self, name: str) -> str:
        return f"{name}_voc07" if self.protocol.average_precision == "voc07" else name
