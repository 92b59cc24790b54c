"""What is evaluated on: a split of a dataset with its classes, and whether a model has the same ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import load_dataset

from ..dataset_builders.description import described_classes
from ..dataset_builders.registry import DatasetEntry, get_entry
from ..hub.normalization import InputSettings
from ..predictors.normalization import input_pixels
from ..training.segmentation.class_map import ClassMap
from ..training.views.weak import IGNORED

__all__ = ["EvaluationData", "EvaluationImage", "check_classes", "load_evaluation_data", "read_pixels"]


@dataclass(frozen=True)
class EvaluationData:
    """A split and its classes.

    Attributes:
        entry: what the registry knows of the dataset.
        split: name of the split.
        labels: class names in the order of their ids.
        ignore_index: mask value without a class, `None` where there are no masks.
        left_out: names of classes that means leave out.
        samples: rows with `image`, `id` and, for segmentation, `mask` (`None` where there are no labels), for
            detection, `objects`.
        labels_of_model: whether nobody named the classes of the data, so that `labels` are the model's.
        class_map: of the model, from mask values to its classes; `None` where masks hold the ids of `labels`.
    """

    entry: DatasetEntry
    split: str
    labels: tuple[str, ...]
    ignore_index: int | None
    left_out: tuple[str, ...]
    samples: Sequence[Mapping[str, Any]]
    labels_of_model: bool = False
    class_map: ClassMap | None = None


@dataclass(frozen=True)
class EvaluationImage:
    """One decoded image.

    Attributes:
        name: id of the sample, for messages and file names.
        pixels: uint8 `(height, width, channels)`.
        mask: integers `(height, width)`, `None` for an image without labels.
    """

    name: str
    pixels: np.ndarray
    mask: np.ndarray | None


@dataclass(frozen=True)
class EvaluationImages:
    """The samples of a dataset, decoded and checked one by one; picklable for worker processes."""

    data: EvaluationData
    network: InputSettings

    def __len__(self) -> int:
        return len(self.data.samples)

    def __getitem__(self, index: int) -> EvaluationImage:
        """Decode a sample.

        Raises:
            ValueError: if the image is not of 8 bits, or its mask has another size or holds a value that is not a
                class; names value and file.
        """
        sample = self.data.samples[index]
        name = str(sample.get("id", index))
        pixels, mask = self.pixels(sample, name), self.mask(sample, name)
        if mask is None:
            return EvaluationImage(name, pixels, None)
        place = getattr(sample["mask"], "filename", "") or f"the mask of {name!r}"
        if mask.shape != pixels.shape[:2]:
            raise ValueError(f"{place}: the mask has the shape {mask.shape}, its image {pixels.shape[:2]}")
        if self.data.class_map is not None:
            mask = self.data.class_map.apply(mask, place)
        self._check_values(mask, place)
        return EvaluationImage(name, pixels, mask)

    def pixels(self, sample: Mapping[str, Any], name: str) -> np.ndarray:
        """The image, as `read_pixels` gives it."""
        return read_pixels(sample, name, self.network)

    def mask(self, sample: Mapping[str, Any], name: str) -> np.ndarray | None:
        """The mask, or `None` where there is none."""
        return None if sample.get("mask") is None else np.asarray(sample["mask"])

    def _check_values(self, mask: np.ndarray, place: str) -> None:
        labels, ignored = self.data.labels, self.data.ignore_index
        counts = np.bincount(mask.ravel(), minlength=256)
        wrong = [value for value in np.flatnonzero(counts).tolist() if value >= len(labels) and value != ignored]
        if wrong:
            found = ", ".join(f"{value} in {counts[value]} pixels" for value in wrong[:5])
            raise ValueError(
                f"{place}: the mask holds {found}; expected 0..{len(labels) - 1} ({', '.join(labels)}) "
                f"or {ignored} to be ignored"
            )


def read_pixels(sample: Mapping[str, Any], name: str, network: InputSettings) -> np.ndarray:
    """The image of a sample as a network takes it, uint8 `(height, width, channels)`.

    Raises:
        ValueError: if it has another number of channels than the network takes, or values that it was not trained on;
            names the file.
    """
    try:
        return input_pixels(sample["image"], network, f"the image {name!r}")
    except (TypeError, ValueError) as error:
        place = getattr(sample["image"], "filename", "") or f"the image {name!r}"
        raise ValueError(f"{place}: {error}") from error


def load_evaluation_data(
    dataset: str,
    split: str | None,
    data_dir: str | None,
    model_labels: Sequence[str],
    options: Mapping[str, Any] | None = None,
    left_out: Sequence[str] | None = None,
    task: str = "segmentation",
    class_map: ClassMap | None = None,
) -> EvaluationData:
    """Open a split of a dataset of the registry.

    Args:
        dataset: name in the registry.
        split: name of the split; that of the published numbers if left out.
        data_dir: where its files are.
        model_labels: classes of the model. A dataset that does not know its own (`s5-image-mask`, `s5-oriented`)
            takes them, unless `options` or `dataset.json` in the folder give `classes`.
        options: of the builder.
        left_out: classes that means leave out; those of the published numbers if left out.
        task: of the model, `"segmentation"` or `"detection"`.
        class_map: of the model, for masks that hold the classes of the dataset it was trained on.

    Raises:
        KeyError: for an unknown dataset; lists the known.
        FileNotFoundError: if `data_dir` does not exist or holds no known layout.
        ValueError: for an unknown split or option, or a dataset for another task.
    """
    entry = get_entry(dataset)
    if entry.task != task:
        raise ValueError(f"{dataset} is a dataset for {entry.task}, the model is one for {task}")
    options = dict(options or {})
    labels_of_model = not entry.labels and "classes" not in options and class_map is None
    if labels_of_model:
        described = described_classes(data_dir)
        options["classes"], labels_of_model = list(described or model_labels), not described
    split = split or entry.evaluation.split
    samples = load_dataset(dataset, data_dir=data_dir, split=split, **options)
    if len(samples) == 0:
        raise ValueError(f"the split {split!r} of {dataset} at {data_dir} is empty")
    labels = tuple(model_labels) if class_map is not None else _labels(entry, samples, options)
    published = entry.evaluation.excluded_classes if labels == entry.labels else ()
    return EvaluationData(
        entry=entry,
        split=split,
        labels=labels,
        ignore_index=IGNORED if class_map is not None else options.get("ignore_index", entry.ignore_index),
        left_out=published if left_out is None else tuple(left_out),
        samples=samples,
        labels_of_model=labels_of_model,
        class_map=class_map,
    )


def _labels(entry: DatasetEntry, samples: Any, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names: of a detection dataset those of its columns, as its configurations differ."""
    if entry.task == "detection":
        return tuple(samples.features["objects"]["category"].feature.names)
    return tuple(entry.labels or options["classes"])


def check_classes(model_labels: Sequence[str], data: EvaluationData, by_position: bool = False) -> None:
    """Make sure that the ids of a model mean what those of the dataset mean.

    Args:
        model_labels: class names of the model's task.
        data: the dataset.
        by_position: whether names may differ, as long as there are as many classes.

    Raises:
        ValueError: if they do not; shows both lists.
    """
    same = len(model_labels) == len(data.labels) if by_position else tuple(model_labels) == data.labels
    if same:
        return
    hint = ""
    if len(model_labels) == len(data.labels):
        hint = " If only the names differ, compare classes by position (--by-position)."
    raise ValueError(
        f"the model and {data.entry.name} have other classes.{hint}\n"
        f"  model   ({len(model_labels)}): {', '.join(model_labels)}\n"
        f"  dataset ({len(data.labels)}): {', '.join(data.labels)}"
    )
