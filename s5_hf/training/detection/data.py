"""The datasets of a detection recipe: one task each, with its training and its validation images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets import DatasetDict, load_dataset

from ...dataset_builders.errors import LayoutError
from ...dataset_builders.registry import DatasetEntry, get_entry
from ...imaging.palettes import default_palette
from ..joint.splits import default_dataset, divide, train_split
from .recipe import DetectionDatasetSettings

OWN_DATASET = "s5-oriented"


@dataclass(frozen=True)
class DetectionTaskData:
    """What one task learns from.

    Attributes:
        name: of the task in the model.
        labels: class names in the order of their ids.
        train: indexed samples with `image` and `objects`: `obb` (n boxes cx, cy, w, h, theta) and `category`.
        validation: such samples, with `difficult` if there are difficult objects; `None` for no validation.
        validation_source: where they come from, in words.
        voc07: score by the 11 points of VOC 2007, where difficult objects count as others, as DIOR-R is; else by the
            area under the curve, where they need not be found.
    """

    name: str
    labels: tuple[str, ...]
    train: Sequence[Any]
    validation: Sequence[Any] | None
    validation_source: str = "given"
    voc07: bool = False

    def __post_init__(self) -> None:
        if len(self.train) == 0:
            raise ValueError(f"the task {self.name!r} has no training images")
        if self.validation is not None and len(self.validation) == 0:
            raise ValueError(f"the task {self.name!r} has no validation images; validation_split: none does without")

    @property
    def palette(self) -> Sequence[tuple[int, int, int]]:
        """A colour per class."""
        return default_palette(len(self.labels))


def load_detection_task(settings: DetectionDatasetSettings, selection: str) -> DetectionTaskData:
    """Load one dataset of a recipe.

    Args:
        settings: of the dataset.
        selection: of the recipe; it decides on which images weights may be chosen.

    Raises:
        KeyError: for an unknown dataset.
        ValueError: if nothing says what the classes are, a split is missing or empty, or weights would be chosen on
            images whose results are published.
    """
    entry = get_entry(settings.dataset or default_dataset(settings.name, OWN_DATASET))
    labels = detection_labels(settings, entry)
    splits = load_splits(settings, entry, labels)
    train = train_split(settings, splits)
    train, validation, source = divide(settings, entry, splits, train, selection)
    if settings.drop_empty:
        train = train.select([row for row, objects in enumerate(train["objects"]) if objects["category"]])
    if validation is not None and settings.validation_count is not None:
        validation = validation.select(range(min(len(validation), settings.validation_count)))
        source += f", the first {len(validation)} images"
    voc07 = entry.evaluation is not None and entry.evaluation.average_precision == "voc07"
    return DetectionTaskData(settings.name, labels, train, validation, source, voc07)


def load_splits(settings: DetectionDatasetSettings, entry: DatasetEntry, labels: Sequence[str]) -> DatasetDict:
    """All splits of a dataset.

    Raises:
        ValueError: naming task and file, if they cannot be read.
    """
    options = {} if entry.labels else {"classes": list(labels), "ignored_classes": list(settings.ignored_classes)}
    try:
        return load_dataset(entry.name, settings.config, data_dir=settings.data_dir, **options)
    except (LayoutError, ValueError) as error:
        raise ValueError(f"the images of the task {settings.name!r} cannot be loaded: {error}") from error


def detection_labels(settings: DetectionDatasetSettings, entry: DatasetEntry) -> tuple[str, ...]:
    """The classes of a task.

    Raises:
        ValueError: if the dataset has no boxes or no classes, or others than the recipe says.
    """
    if entry.task != "detection":
        raise ValueError(f"{settings.name}: {entry.name} is for {entry.task}, a detector needs oriented boxes")
    given, known = tuple(settings.classes), entry.labels_of(settings.config)
    if not given and not known:
        raise ValueError(
            f"{settings.name}: {entry.name} does not know its classes: name them with "
            f"--{settings.name}.classes in the order of their ids"
        )
    if given and known and given != known:
        raise ValueError(
            f"{settings.name}: {entry.name} has the classes {', '.join(known)}, the recipe says {', '.join(given)}"
        )
    if known and settings.ignored_classes:
        raise ValueError(f"{settings.name}.ignored_classes is for {OWN_DATASET}; {entry.name} has its own classes")
    return given or known
