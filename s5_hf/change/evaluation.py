"""How well a search finds the changes of a labelled dataset, in the measures of DynamicEarth (arXiv 2501.12931)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from datasets import Dataset, load_dataset
from PIL import Image
from tqdm import tqdm

from ..dataset_builders.registry import DatasetEntry, get_entry
from ..files.atomic import write_text
from ..metrics import ConfusionMatrix, class_change, in_percent
from ..metrics.segmentation_scores import class_table, overall_accuracy
from ..version import __version__
from .search import Changes, SearchChanges

__all__ = ["ChangeScores", "ChangeTask", "count_changes", "evaluate_changes"]

_LABELS = ("unchanged", "changed")
_TASK = "change"


@dataclass(frozen=True)
class ChangeTask:
    """What a search is tried on.

    Attributes:
        dataset: name in the registry.
        data_dir: folder, `hf://` path or http(s) URL with its files.
        split: that of the published numbers if left out.
        target: the class of the dataset that came or went; empty for one whose masks have only one.
        options: of the dataset's builder.

    Raises:
        KeyError: the registry has no such dataset.
        ValueError: the dataset has no pairs, or its target is missing or unknown; names the classes.
    """

    dataset: str
    data_dir: str
    split: str | None = None
    target: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        entry = self.entry
        if entry.task != _TASK:
            raise ValueError(f"{self.dataset} is a dataset for {entry.task}, expected one of pairs of two dates")
        classes = entry.labels[1:]
        if (len(classes) > 1 or self.target) and self.target not in classes:
            raise ValueError(
                f"{self.dataset} has the classes {', '.join(classes)}; name one of them as the target, "
                f"got {self.target or 'none'}"
            )

    @property
    def entry(self) -> DatasetEntry:
        """What the registry knows of the dataset."""
        return get_entry(self.dataset)

    @property
    def chosen_split(self) -> str:
        """The split, or that of the published numbers."""
        return self.split or self.entry.evaluation.split

    def samples(self) -> Dataset:
        """The samples of the split.

        Raises:
            ValueError: there are none, or they have no masks.
        """
        samples = load_dataset(self.dataset, data_dir=self.data_dir, split=self.chosen_split, **dict(self.options))
        if len(samples) == 0 or samples[0]["mask"] is None:
            raise ValueError(f"the split {self.chosen_split!r} of {self.dataset} at {self.data_dir} has no masks")
        return samples

    def reference(self, sample: Mapping[str, Any]) -> np.ndarray:
        """Where the target changed, uint8 `(height, width)`: 0, 1, or 255 to be ignored."""
        mask = np.asarray(sample["mask"])
        if not self.target or "mask_before" not in sample:
            return np.where(mask == 255, 255, mask > 0).astype(np.uint8)
        dates = (torch.from_numpy(np.array(sample[column])) for column in ("mask_before", "mask_after"))
        changed = class_change(*dates, self.entry.labels.index(self.target)).numpy()
        return np.where(mask == 255, 255, changed).astype(np.uint8)


@dataclass(frozen=True)
class ChangeScores:
    """How well a search did.

    Attributes:
        task: what it was tried on.
        search: the search and its settings, for people.
        images: pairs.
        objects: that were found.
        counts: int64 `(2, 2)`, references in rows: unchanged and changed pixels.
    """

    task: ChangeTask
    search: str
    images: int
    objects: int
    counts: torch.Tensor

    @property
    def scores(self) -> dict[str, float]:
        """`F1`, `IoU`, `precision`, `recall` of changed pixels, `mIoU` and `OA`, in percent; NaN where undefined."""
        table = class_table(self.counts, _LABELS)
        of_changed = {name: table["changed"][name] for name in ("F1", "IoU", "precision", "recall")}
        means = {
            "mIoU": (table["unchanged"]["IoU"] + table["changed"]["IoU"]) / 2,
            "OA": overall_accuracy(self.counts),
        }
        return in_percent({**of_changed, **means})

    def as_json(self) -> dict[str, Any]:
        """Plain data; scores in percent, `None` for what is not defined."""
        return {
            "dataset": self.task.dataset,
            "split": self.task.chosen_split,
            "target": self.task.target,
            "search": self.search,
            "images": self.images,
            "objects": self.objects,
            "unit": "percent",
            **{name: None if math.isnan(value) else value for name, value in self.scores.items()},
            "counts": self.counts.tolist(),
            "s5_hf": __version__,
        }

    def as_markdown(self) -> str:
        """The same for people."""
        shown = {name: "-" if math.isnan(value) else f"{value:.2f}" for name, value in self.scores.items()}
        title = f"{self.task.entry.title}, {self.task.chosen_split}: F1 {shown['F1']}"
        target = [f"- Target: {self.task.target}"] if self.task.target else []
        return "\n".join(
            [
                f"# {title}",
                "",
                f"- Search: `{self.search}`",
                *target,
                f"- Pairs: {self.images:,}; objects found: {self.objects:,}",
                "",
                f"| {' | '.join(shown)} |",
                f"|{' ---: |' * len(shown)}",
                f"| {' | '.join(shown.values())} |",
                "",
            ]
        )

    def write(self, folder: str | Path) -> None:
        """Write `results.json` and `results.md`."""
        write_text(Path(folder) / "results.json", json.dumps(self.as_json(), indent=2))
        write_text(Path(folder) / "results.md", self.as_markdown())


def evaluate_changes(
    search: SearchChanges, task: ChangeTask, accelerator: Accelerator, name: str = ""
) -> ChangeScores:
    """Try a search on every pair of a split; pairs are shared among the processes, which put their counts together.

    Args:
        search: such as `MaskCompareIdentify`; images are searched whole.
        task: the dataset.
        accelerator: of this process.
        name: of the search and its settings, for the report.

    Raises:
        FileNotFoundError: the data is not there.
        ValueError: as `ChangeTask`, or an image is not of 8 bits and three bands, or a search of several classes has
            none that is called as the target.
    """
    with accelerator.main_process_first():  # it prepares the data, the others find it prepared
        samples = task.samples()
    counts, objects = count_changes(
        search, task, samples, accelerator.process_index, accelerator.num_processes, accelerator.is_main_process
    )
    found = accelerator.reduce(torch.tensor(objects, device=accelerator.device), "sum")
    return ChangeScores(task, name, len(samples), int(found), counts.reduce(accelerator).counts)


def count_changes(
    search: SearchChanges,
    task: ChangeTask,
    samples: Dataset,
    process_index: int = 0,
    num_processes: int = 1,
    show_progress: bool = True,
) -> tuple[ConfusionMatrix, int]:
    """Counts of unchanged and changed pixels of every `num_processes`-th pair, and how many objects were found."""
    wanted = _wanted_classes(search.labels, task.target)
    counts, objects = ConfusionMatrix(len(_LABELS)), 0
    order = range(process_index, len(samples), num_processes)
    for index in tqdm(order, desc="changes", unit="pair", disable=None if show_progress else True):
        sample = samples[index]
        changes = search.find(*(_pixels(sample, date) for date in ("before", "after")))
        changes = changes.select(_are_of(changes, wanted))
        counts.update(changes.masks.union().astype(np.uint8), task.reference(sample))
        objects += len(changes)
    return counts, objects


def _wanted_classes(labels: Sequence[str], target: str) -> list[int]:
    """The classes of a search that count: all, or the one that is called as the target."""
    classes = list(range(1, len(labels)))
    if not target or len(classes) == 1:
        return classes
    if target not in labels:
        raise ValueError(f"the search has no class {target!r} but {', '.join(labels[1:])}; search for one class")
    return [list(labels).index(target)]


def _are_of(changes: Changes, classes: Sequence[int]) -> np.ndarray:
    return np.any([changes.of_class(class_id) for class_id in classes], axis=0)


def _pixels(sample: Mapping[str, Any], date: str) -> np.ndarray:
    """One image of a pair, uint8 RGB `(height, width, 3)`."""
    image = sample[f"image_{date}"]
    if not isinstance(image, Image.Image):
        raise ValueError(f"{sample['id']}: the image {date} is not of 8 bits; searches take 8-bit RGB")
    return np.array(image.convert("RGB"))
