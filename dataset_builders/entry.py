"""What an entry of the registry says of a dataset."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .class_names import NamedClasses

Task = Literal["segmentation", "unlabelled", "detection", "change", "road graph", "reasoning", "captioning"]
Color = tuple[int, int, int]


@dataclass(frozen=True)
class EvaluationProtocol:
    """How published numbers on a dataset are obtained.

    Attributes:
        metric: `"mIoU"` (mean intersection over union), `"mF1"` (mean F1), `"mAP"` (mean average precision) or `"F1"`
            (of what changed).
        split: the split that is evaluated.
        excluded_classes: class names that the mean leaves out (they still compete for pixels).
        image_size: side of the evaluated images in pixels, `None` where images keep their varying size.
        window: side of the sliding window in pixels, `None` where the whole image is one input.
        resize: side in pixels to which images are resized before the network (predictions are resized back),
            `None` for no resizing.
        flip_augmentation: whether predictions are averaged over flips of the image.
        intersection_threshold: rotated IoU above which a detection counts, `None` for segmentation.
        average_precision: `"voc07"` (11 points) or `"area"` (area under the curve), `None` for segmentation.
        difficult_counted: whether objects that are marked as difficult count; if not, they may be found but need not.
        note: what a reader of the numbers has to know.
    """

    metric: Literal["mIoU", "mF1", "mAP", "F1"]
    split: str = "val"
    excluded_classes: tuple[str, ...] = ()
    image_size: int | None = None
    window: int | None = None
    resize: int | None = None
    flip_augmentation: bool = False
    intersection_threshold: float | None = None
    average_precision: Literal["voc07", "area"] | None = None
    difficult_counted: bool = False
    note: str = ""


@dataclass(frozen=True)
class DatasetEntry:
    """What is known of one dataset.

    Attributes:
        name: the name for `load_dataset`, such as `"s5-loveda"`.
        title: the dataset's own name.
        task: `"segmentation"`, `"unlabelled"`, `"detection"`, `"change"` (of two dates), `"road graph"`,
            `"reasoning"` (questions and masks) or `"captioning"` (two dates and sentences).
        builder: dotted path of the builder class, imported lazily by `builder_class`.
        splits: names of the splits.
        labels: class names; the position is the class id in masks and in `objects["category"]`. Empty where the
            dataset has none or where the user gives them.
        palette: one RGB colour per class id. It is one longer than `labels` where the ignore index follows the last
            class and has a colour of its own (ISPRS clutter). `None` where there is none.
        ignore_index: mask value without a class, `None` where there are no masks.
        evaluation: how published numbers are obtained, `None` where nothing is evaluated.
        licence: licence of the data in a few words, empty for the user's own; likewise:
        citation: BibTeX.
        homepage: where the data comes from.
        configs: names of the configurations; the first is the default.
        config_labels: class names of configurations whose classes differ from `labels`.
        config_tasks: tasks of configurations whose task differs from `task`.
        open_vocabulary: names of the classes for a model that takes any, by the version that published them.
    """

    name: str
    title: str
    task: Task
    builder: str
    splits: tuple[str, ...]
    labels: tuple[str, ...] = ()
    palette: tuple[Color, ...] | None = None
    ignore_index: int | None = None
    evaluation: EvaluationProtocol | None = None
    licence: str = ""
    citation: str = ""
    homepage: str = ""
    configs: tuple[str, ...] = ("default",)
    config_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    config_tasks: Mapping[str, Task] = field(default_factory=dict, hash=False)
    open_vocabulary: Mapping[str, NamedClasses] = field(default_factory=dict, hash=False)

    def labels_of(self, config: str | None = None) -> tuple[str, ...]:
        """Class names of configuration `config` (`None`: the default one).

        Raises:
            ValueError: if the dataset has no such configuration.
        """
        return self.config_labels.get(self._known(config), self.labels)

    def task_of(self, config: str | None = None) -> Task:
        """The task of configuration `config` (`None`: the default one).

        Raises:
            ValueError: if the dataset has no such configuration.
        """
        return self.config_tasks.get(self._known(config), self.task)

    def _known(self, config: str | None) -> str:
        config = self.configs[0] if config is None else config
        if config not in self.configs:
            raise ValueError(f"{self.name} has no configuration {config!r}; known: {', '.join(self.configs)}")
        return config

    def builder_class(self) -> type:
        """Import and return the `datasets.DatasetBuilder` subclass."""
        module_name, _, class_name = self.builder.rpartition(".")
        return getattr(importlib.import_module(module_name), class_name)
