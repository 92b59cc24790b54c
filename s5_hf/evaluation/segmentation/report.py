"""What an evaluation of segmentation leaves: `results.json`, `results.md` and `confusion_matrix.png`."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...files.atomic import atomic_file
from ...version import __version__
from ..data import EvaluationData
from .confusion_picture import draw_confusion_matrix
from .protocol import Protocol

__all__ = ["SegmentationResults", "percent", "table", "without_nan"]

_MEANS = ("mIoU", "mF1", "mAcc", "OA", "boundary_mIoU")
_COLUMNS = ("IoU", "F1", "precision", "recall", "boundary_IoU", "share")


@dataclass(frozen=True)
class SegmentationResults:
    """The outcome of an evaluation.

    Attributes:
        model: what was evaluated, as it was named.
        task: the model's task, `None` for a model without tasks.
        data: what it was evaluated on.
        protocol: how.
        images: number of images.
        scores: of [`SegmentationCounts.scores`], in percent; `None` if the images have no labels.
        class_maps: folder of the predictions, `None` if none were written.
    """

    model: str
    task: str | None
    data: EvaluationData
    protocol: Protocol
    images: int
    scores: dict[str, Any] | None
    class_maps: str | Path | None

    @property
    def metric(self) -> str:
        """The metric in which the dataset's results are published, such as `mIoU`."""
        return self.data.entry.evaluation.metric

    def as_json(self) -> dict[str, Any]:
        """Plain data; scores in percent, `None` for what is not defined."""
        content = {
            "model": self.model,
            "task": self.task,
            "dataset": self.data.entry.name,
            "split": self.data.split,
            "images": self.images,
            "protocol": asdict(self.protocol),
            "s5_hf": __version__,
            "class_maps": None if self.class_maps is None else str(self.class_maps),
            "class_map": None if self.data.class_map is None else self.data.class_map.values,
        }
        if self.scores is not None:
            content |= {"metric": self.metric, "unit": "percent", "value": self.scores[self.metric], **self.scores}
        return without_nan(content)

    def as_markdown(self) -> str:
        """The same for people."""
        lines = [
            f"# {self.data.entry.title}, {self.data.split}: {self.headline()}",
            "",
            f"- Model: `{self.model}`" + (f", task `{self.task}`" if self.task else ""),
            f"- Dataset: `{self.data.entry.name}`, split `{self.data.split}`, images: {self.images:,}",
            f"- Protocol: {self.protocol.name} ({self.protocol.describe()})",
        ]
        if self.data.labels_of_model:
            lines.append(
                "- Classes: those of the model, as the dataset names none: `classes` of the builder names them"
            )
        if self.data.class_map is not None:
            lines.append(f"- Masks: translated to the classes of the model by its class map ({self._translation()})")
        if self.data.entry.evaluation.note:
            lines.append(f"- Note: {self.data.entry.evaluation.note}")
        if self.class_maps is not None:
            lines.append(f"- Class maps: `{self.class_maps}`")
        if self.scores is None:
            return "\n".join([*lines, ""])
        if self.scores["left_out"]:
            lines.append(f"- Left out of the means: {', '.join(self.scores['left_out'])}")
        lines += self._absent_classes()
        return "\n".join([*lines, "", *self._means_table(), "", *self._class_table(), ""])

    def headline(self) -> str:
        """The published metric in percent."""
        return "no labels" if self.scores is None else f"{self.metric} {percent(self.scores[self.metric])}"

    def write(self, folder: str | Path) -> None:
        """Write `results.json`, `results.md` and `confusion_matrix.png`, each whole or not at all."""
        folder = Path(folder)
        with atomic_file(folder / "results.json") as temporary:
            temporary.write_text(json.dumps(self.as_json(), indent=2), encoding="utf-8")
        with atomic_file(folder / "results.md") as temporary:
            temporary.write_text(self.as_markdown(), encoding="utf-8")
        if self.scores is None:
            return
        title = f"{self.data.entry.title}, {self.data.split}: {self.headline()}"
        picture = draw_confusion_matrix(np.array(self.scores["confusion_matrix"]), self.data.labels, title)
        with atomic_file(folder / "confusion_matrix.png") as temporary:
            picture.save(temporary, format="PNG")

    def _translation(self) -> str:
        """The class map in words."""
        names = dict(enumerate(self.data.labels))
        return ", ".join(
            f"{value}: {names.get(target, 'ignored')}" for value, target in self.data.class_map.values.items()
        )

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

    def _means_table(self) -> list[str]:
        names = [name for name in _MEANS if name in self.scores]
        return table(names, [[percent(self.scores[name]) for name in names]])

    def _class_table(self) -> list[str]:
        per_class = self.scores["per_class"]
        names = [name for name in _COLUMNS if name in next(iter(per_class.values()))]
        rows = [[label, *(percent(row[name]) for name in names)] for label, row in per_class.items()]
        return table(["class", *names], rows)


def percent(value: float) -> str:
    """A score, which is in percent, with two decimals; a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.2f}"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table; numbers to the right, a column called class to the left."""
    rule = ["---" if name == "class" else "---:" for name in header]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def without_nan(value: Any) -> Any:
    """The same data with None in place of NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
