"""What the trainings of the demonstration came to, read from what they left."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import load_dataset
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

from ..modeling import S5ForSemanticSegmentation
from ..pages import Points
from ..project.folders import ProjectFolders
from ..project.report import curve
from ..synthetic import SHORE_LABELS
from ..training.run_folder import read_log
from .chain import CITY, ROADS, TASK_LABELS
from .pair import SHORES

__all__ = [
    "FINE_TUNED",
    "LABELS",
    "LabelledImage",
    "fine_tuning_rows",
    "last",
    "load_validation",
    "mean_curve",
    "parameters",
    "predict",
]

FINE_TUNED = {
    "SDF, two models": {CITY: f"sdf-{CITY}", ROADS: f"sdf-{ROADS}"},
    "MDF": {CITY: "mdf", ROADS: "mdf"},
    "MoE-MDF": {CITY: "finetune", ROADS: "finetune"},
}
"""The runs that serve each task, for each way of fine-tuning."""


LABELS = {**TASK_LABELS, SHORES: SHORE_LABELS}
"""The classes of every labelled dataset."""


@dataclass(frozen=True)
class LabelledImage:
    """An image with its true classes.

    Attributes:
        image: uint8 [height, width, 3].
        classes: uint8 [height, width].
    """

    image: np.ndarray
    classes: np.ndarray


def last(folder: Path, name: str) -> float:
    """The last value of a run's log under a name; NaN if it was not finite."""
    entry = next(entry for entry in reversed(read_log(folder)) if name in entry)
    return float("nan") if entry[name] is None else float(entry[name])


def parameters(model: Path) -> int:
    """Parameters of a saved segmenter."""
    return S5ForSemanticSegmentation.from_pretrained(model).num_parameters()


def fine_tuning_rows(folders: ProjectFolders) -> list[dict[str, Any]]:
    """For each way of fine-tuning: name, models, parameters, last mIoU of each task in percent, and their mean."""
    rows = []
    for name, runs in FINE_TUNED.items():
        different = sorted(set(runs.values()))
        miou = {task: last(folders.run(run), f"validation/{task}/miou") for task, run in runs.items()}
        rows.append(
            {
                "name": name,
                "models": len(different),
                "parameters": sum(parameters(folders.run(run) / "segmenter") for run in different),
                **miou,
                "mean": statistics.fmean(miou.values()),
            }
        )
    return rows


def mean_curve(folders: ProjectFolders, runs: dict[str, str]) -> Points:
    """(step, mean mIoU over the tasks) of one or several runs."""
    curves = [dict(curve(folders.run(run), f"validation/{task}/miou")) for task, run in runs.items()]
    steps = sorted(set.intersection(*(set(values) for values in curves)))
    return [(step, statistics.fmean(values[step] for values in curves)) for step in steps]


def load_validation(folders: ProjectFolders, task: str) -> list[LabelledImage]:
    """The validation images of a labelled dataset."""
    samples = load_dataset(
        "s5-image-mask",
        data_dir=str(folders.output / "data" / task),
        split="val",
        streaming=True,
        classes=list(LABELS[task]),
    )
    return [
        LabelledImage(np.asarray(sample["image"].convert("RGB")), np.asarray(sample["mask"])) for sample in samples
    ]


@torch.inference_mode()
def predict(folder: Path, images: list[np.ndarray], task: str | None = None) -> list[np.ndarray]:
    """Class ids [height, width] of images [height, width, 3] by a saved segmenter."""
    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForSemanticSegmentation.from_pretrained(folder).eval()
    found = []
    for image in images:
        inputs = processor(Image.fromarray(image), return_tensors="pt")
        outputs = model(**inputs) if task is None else model(**inputs, task=task)
        found.append(processor.post_process_semantic_segmentation(outputs)[0].numpy().astype(np.uint8))
    return found
