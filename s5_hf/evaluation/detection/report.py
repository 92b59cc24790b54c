"""What an evaluation of detection leaves: `results.json`, `results.md` and `precision_recall.png`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...files.atomic import atomic_file
from ...metrics.average_precision import PrecisionRecall
from ...version import __version__
from ..data import EvaluationData
from ..segmentation.report import percent, table, without_nan
from .curve_picture import draw_precision_recall
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
class DetectionResults:
    """The outcome of an evaluation.

    Attributes:
        model: what was evaluated, as it was named.
        task: the model's task.
        data: what it was evaluated on.
        protocol: how.
        images: number of images.
        scores: of [`OrientedAveragePrecision.compute`], in percent; `None` if the images have no labels.
        curves: precision over recall at IoU 0.5 per class; `None` if the images have no labels.
        patches: whether the images are patches of larger ones.
        detections: folder of the result files, `None` if none were written.
    """

    model: str
    task: str
    data: EvaluationData
    protocol: DetectionProtocol
    images: int
    scores: dict[str, Any] | None
    curves: Mapping[str, PrecisionRecall] | None
    patches: bool
    detections: str | Path | None

    @property
    def value(self) -> float:
        """The published number: the mean average precision at IoU 0.5 in percent, NaN where it is not defined."""
        return self.scores[self._key("map_50")]

    def as_json(self) -> dict[str, Any]:
        """Plain data; scores in percent, `None` for what is not defined."""
        content = {
            "model": self.model,
            "task": self.task,
            "dataset": self.data.entry.name,
            "split": self.data.split,
            "images": self.images,
            "images_are_patches": self.patches,
            "protocol": asdict(self.protocol),
            "s5_hf": __version__,
            "detections": None if self.detections is None else str(self.detections),
        }
        if self.scores is not None:
            content |= {"metric": "mAP50", "unit": "percent", "value": self.value, **self.scores}
        return without_nan(content)

    def as_markdown(self) -> str:
        """The same for people."""
        lines = [
            f"# {self.data.entry.title}, {self.data.split}: {self.headline()}",
            "",
            f"- Model: `{self.model}`, task `{self.task}`",
            f"- Dataset: `{self.data.entry.name}`, split `{self.data.split}`, images: {self.images:,}",
            f"- Protocol: {self.protocol.name} ({self.protocol.describe()})",
        ]
        if self.data.labels_of_model:
            lines.append(
                "- Classes: those of the model, as the dataset names none: `classes` of the builder names them"
            )
        if self.patches:
            lines.append("- The images are patches and are scored as such; published numbers are of whole images")
        if self.data.entry.evaluation.note:
            lines.append(f"- Note: {self.data.entry.evaluation.note}")
        if self.detections is not None:
            merged = ", patches merged to whole images" if self.patches else ""
            lines.append(f"- Result files (DOTA, Task 1{merged}): `{self.detections}`")
        if self.scores is None:
            return "\n".join([*lines, ""])
        absent = [label for label, row in self.scores["per_class"].items() if row["references"] == 0]
        if absent:
            lines.append(f"- **No objects in this split, so left out of the means: {', '.join(absent)}**")
        return "\n".join([*lines, "", *self._means_table(), "", *self._class_table(), ""])

    def headline(self) -> str:
        """The published metric in percent."""
        if self.scores is None:
            return "no labels"
        return f"mAP50 {percent(self.value)} ({self._kind()})"

    def write(self, folder: str | Path) -> None:
        """Write `results.json`, `results.md` and `precision_recall.png`, each whole or not at all."""
        folder = Path(folder)
        with atomic_file(folder / "results.json") as temporary:
            temporary.write_text(json.dumps(self.as_json(), indent=2), encoding="utf-8")
        with atomic_file(folder / "results.md") as temporary:
            temporary.write_text(self.as_markdown(), encoding="utf-8")
        if self.curves is None:
            return
        title = f"{self.data.entry.title}, {self.data.split}: {self.headline()}"
        average = {label: row[self._key("ap_50")] for label, row in self.scores["per_class"].items()}
        with atomic_file(folder / "precision_recall.png") as temporary:
            draw_precision_recall(self.curves, average, title).save(temporary, format="PNG")

    def _key(self, name: str) -> str:
        return f"{name}_voc07" if self.protocol.average_precision == "voc07" else name

    def _kind(self) -> str:
        if self.protocol.average_precision == "area":
            return "area under the curve"
        return "VOC 2007, 11 points" + (", official recalls" if self.protocol.official_recalls else "")

    def _means_table(self) -> list[str]:
        return table(list(_MEANS.values()), [[percent(self.scores[name]) for name in _MEANS]])

    def _class_table(self) -> list[str]:
        rows = [
            [label, *(percent(row[name]) for name in _COLUMNS), f"{row['references']:,}", f"{row['detections']:,}"]
            for label, row in self.scores["per_class"].items()
        ]
        return table(["class", *_COLUMNS.values(), "objects", "detections"], rows)
