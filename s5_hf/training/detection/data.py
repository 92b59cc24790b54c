"""The datasets of a detection recipe: one task each, with its training and its validation images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...dataset_builders.registry import DatasetEntry
from ...imaging.palettes import default_palette
from ..image_input import band_options
from ..joint.splits import chosen_classes, chosen_entry, load_images, require_images
from ..recipe_sections import ImageSettings
from .recipe import DetectionDatasetSettings

OWN_DATASET = "s5-oriented"


# The twin of segmentation's `TaskData`, which has colours and an ignored value besides: users make both by hand.
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
        require_images(self.name, self.train, self.validation)

    @property
    def palette(self) -> Sequence[tuple[int, int, int]]:
        """A colour per class."""
        return default_palette(len(self.labels))


def load_detection_task(
    settings: DetectionDatasetSettings, selection: str, images: ImageSettings | None = None
) -> DetectionTaskData:
    """Load one dataset of a recipe, whose `selection` decides on which images weights may be chosen.

    `images` of the recipe say which bands are read.

    Raises:
        KeyError: for an unknown dataset.
        ValueError: if its classes or images do not fit: see `detection_labels` and `load_images`.
    """
    entry = chosen_entry(settings, OWN_DATASET)
    labels = detection_labels(settings, entry)
    options = {} if entry.labels else {"classes": list(labels), "ignored_classes": list(settings.ignored_classes)}
    options |= {} if images is None else band_options(images, entry)
    train, validation, source = load_images(settings, entry, selection, settings.config, **options)
    if settings.drop_empty:
        train = train.select([row for row, objects in enumerate(train["objects"]) if objects["category"]])
    voc07 = entry.evaluation is not None and entry.evaluation.average_precision == "voc07"
    return DetectionTaskData(settings.name, labels, train, validation, source, voc07)


def detection_labels(settings: DetectionDatasetSettings, entry: DatasetEntry) -> tuple[str, ...]:
    """The classes of a task.

    Raises:
        ValueError: if the dataset has no boxes or no classes, or others than the recipe says.
    """
    if entry.task != "detection":
        raise ValueError(f"{settings.name}: {entry.name} is for {entry.task}, a detector needs oriented boxes")
    known = entry.labels_of(settings.config)
    labels = chosen_classes(settings, entry, known)
    if known and settings.ignored_classes:
        raise ValueError(f"{settings.name}.ignored_classes is for {OWN_DATASET}; {entry.name} has its own classes")
    return labels
