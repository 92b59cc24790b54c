"""The health of a pre-training run as a page: what its log says about losses, pseudo-labels and classes."""

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ...files.atomic import write_text
from ...pages import Points, line_chart, page, table
from ...semi_supervised import Method
from ..run_folder import read_log
from .data import SegmentationData
from .recipe import PretrainingRecipe

REPORT, WARNINGS = "report.html", "warnings.json"
POINTS = 150
"""Points of a curve at most; of a longer one neighbours are averaged."""
CURVES = 6
"""Curves of a chart at most."""
Log = Sequence[Mapping[str, Any]]


def write_health_report(recipe: PretrainingRecipe, data: SegmentationData, method: Method) -> Path:
    """Write report.html in the run's folder, from its log.jsonl and warnings.json.

    Args:
        recipe: of the run.
        data: that it learns from.
        method: by which it learns.
    """
    folder = Path(recipe.run.output_dir)
    log, labels = read_log(folder), list(data.labels)
    content = facts(recipe, data, method, log) + warning_section(folder)
    content += charts("Training", training_charts(log))
    content += charts("Pseudo-labels of the unlabelled images", unlabelled_charts(log, labels), UNLABELLED_NOTE)
    content += charts("Pseudo-labels against the truth", validation_charts(log, labels), VALIDATION_NOTE)
    content += class_table(log, labels)
    write_text(folder / REPORT, page(f"Health of {folder.name}", content))
    return folder / REPORT


UNLABELLED_NOTE = (
    "The mask ratio is the share of the pixels whose pseudo-label counts. Agreement is the share of the pixels for "
    "which the student says of the strong view what the teacher says of the weak one. If the share of a class drifts "
    "towards 1, it takes over; if it drifts towards 0, the class starves."
)
VALIDATION_NOTE = (
    "Computed on the validation images, as if they were unlabelled. Recall of a class is the share of its true pixels "
    "that get a confident and right pseudo-label: where it is 0, nothing is learnt of the class from unlabelled "
    "images, however high the accuracy of the confident pixels is. Drift is the distance between the class histograms "
    "of the confident pixels and of the labels, from 0 to 1."
)


def facts(recipe: PretrainingRecipe, data: SegmentationData, method: Method, log: Log) -> str:
    """What was run on what."""
    settings = recipe.method
    itself = "itself" if method.strong_views else "none"
    frozen = itself if method.takes_labels else ", ".join(method.frozen_teachers)
    teacher = "average of its weights (ema)" if method.has_teacher else frozen
    by_threshold = method.threshold_now is not None
    rule = f"{settings.threshold}, {settings.confidence_threshold:g}" if by_threshold else "none"
    steps = max((entry["step"] for entry in log), default=0)
    rows = [
        ("method", settings.method),
        ("teacher", teacher),
        ("threshold", rule),
        ("labelled images", counted(data.labelled if method.takes_labels else None)),
        ("unlabelled images", counted(data.unlabelled)),
        ("supervised phase", f"{settings.unlabelled_from_step} steps"),
        ("steps", f"{steps} of {recipe.optimizer.total_steps}"),
    ]
    if data.validation is not None:
        rows.append(("validation images", f"{len(data.validation)} ({data.validation_source})"))
    return table(("", "value"), rows)


def counted(samples: Any) -> str:
    """How many samples there are."""
    return "none" if samples is None else str(len(samples)) if hasattr(samples, "__len__") else "a stream"


def warning_section(folder: Path) -> str:
    """The warnings of the run."""
    found = read_warnings(folder)
    if not found:
        return "<p>No warnings so far.</p>"
    lines = [f"<li>step {step}: {escape(text)}</li>" for step, text in sorted(found.values())]
    return f"<h2>Warnings</h2><ul>{''.join(lines)}</ul>"


def read_warnings(folder: Path) -> dict[str, tuple[int, str]]:
    """Step and text of the run's warnings, by kind."""
    path = folder / WARNINGS
    if not path.is_file():
        return {}
    return {kind: (step, text) for kind, (step, text) in json.loads(path.read_text(encoding="utf-8")).items()}


def write_warnings(folder: Path, warned: Mapping[str, tuple[int, str]]) -> None:
    """Write them."""
    write_text(folder / WARNINGS, json.dumps(warned, indent=1))


def training_charts(log: Log) -> list[str]:
    """Losses and learning rate."""
    losses = {"labelled images": curve(log, "loss_supervised"), "unlabelled images": curve(log, "loss_unsupervised")}
    losses = {name: points for name, points in losses.items() if points}
    return [chart(losses, "loss"), chart({"learning rate": curve(log, "learning_rate")}, "highest learning rate")]


def unlabelled_charts(log: Log, labels: Sequence[str]) -> list[str]:
    """Mask ratio, agreement, confidence and classes of the pseudo-labels."""
    ratios = {"mask ratio": "mask_ratio", "agreement": "agreement", "mean confidence": "mean_confidence"}
    shares = per_class(log, labels, "pseudo_label_share/{}", "share of a class among those that count")
    return [chart({name: curve(log, key) for name, key in ratios.items()}, "share of the pixels"), *shares]


def validation_charts(log: Log, labels: Sequence[str]) -> list[str]:
    """Scores, and the worth of pseudo-labels of each class."""
    confident = {
        "accuracy of confident pixels": curve(log, "validation/confident_accuracy"),
        "share of confident pixels": curve(log, "validation/confident_share"),
        "class drift": curve(log, "validation/histogram_drift"),
    }
    return [
        chart({"mIoU": curve(log, "validation/miou")}, "mIoU, percent"),
        chart(confident, "confident pixels"),
        *per_class(log, labels, "validation/confident_recall/{}", "recall of pseudo-labels per true class"),
        *per_class(log, labels, "validation/confident_precision/{}", "right ones among confident pixels of a class"),
        *per_class(log, labels, "validation/iou/{}", "IoU, percent"),
        *per_class(log, labels, "validation/threshold/{}", "threshold"),
    ]


def per_class(log: Log, labels: Sequence[str], key: str, name: str) -> list[str]:
    """Charts with a curve per class, of a value whose key has the class in place of `{}`."""
    curves = {label: curve(log, key.format(label)) for label in labels}
    groups = [labels[first : first + CURVES] for first in range(0, len(labels), CURVES)]
    return [chart({label: curves[label] for label in group}, name) for group in groups]


def chart(curves: Mapping[str, Points], name: str) -> str:
    """The curves as a chart, each class in the colour that it has in the others; nothing without any points."""
    return line_chart(curves, "step", name) if any(curves.values()) else ""


def charts(title: str, found: Sequence[str], note: str = "") -> str:
    """A section of charts; nothing without any."""
    if not any(found):
        return ""
    below = f'<p class="note">{note}</p>' if note else ""
    return f'<h2>{title}</h2>{below}<div class="charts">{"".join(found)}</div>'


def curve(log: Log, key: str) -> Points:
    """The values of a key by step, with neighbours averaged where there are more than `POINTS`."""
    points = [(entry["step"], entry[key]) for entry in log if entry.get(key) is not None]
    size = math.ceil(len(points) / POINTS) or 1
    groups = [points[first : first + size] for first in range(0, len(points), size)]
    return [tuple(sum(column) / len(group) for column in zip(*group, strict=True)) for group in groups]


def class_table(log: Log, labels: Sequence[str]) -> str:
    """The values of each class in the last validation."""
    entry = next((entry for entry in reversed(log) if "validation/miou" in entry), None)
    if entry is None:
        return ""
    keys = ("iou", "confident_recall", "confident_precision", "confident_share")
    rows = [(label, *(written(entry, f"validation/{key}/{label}", key) for key in keys)) for label in labels]
    heads = ("class", "IoU", "recall of pseudo-labels", "precision of pseudo-labels", "confident share")
    note = '<p class="note">Percent; a dash where there are no such pixels.</p>'
    return f"<h2>Classes at step {entry['step']}</h2>" + table(heads, rows) + note


def written(entry: Mapping[str, Any], key: str, kind: str) -> str:
    """A value in percent."""
    value = entry.get(key)
    return "-" if value is None else f"{value if kind == 'iou' else 100 * value:.1f}"
