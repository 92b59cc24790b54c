"""The datasets of a fine-tuning recipe: one task each, with its training and its validation images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...dataset_builders.description import described_classes
from ...dataset_builders.registry import DatasetEntry
from ...imaging.natural_colors import natural_palette
from ..image_input import band_options
from ..joint.splits import chosen_classes, chosen_entry, load_images, require_images
from ..recipe_sections import ImageSettings
from ..views.weak import IGNORED
from .class_map import ClassMap, MappedSamples
from .recipe import SegmentationDatasetSettings

OWN_DATASET = "s5-image-mask"


# The twin of `DetectionTaskData`, which has neither colours nor an ignored value: users make both by hand.
@dataclass(frozen=True)
class TaskData:
    """What one task learns from.

    Attributes:
        name: of the task in the model.
        labels: class names in the order of their ids.
        palette: a colour per class.
        ignore_index: mask value without a class.
        train: indexed samples with `image` and `mask`.
        validation: samples with `image` and `mask`, `None` for no validation.
        validation_source: where they come from, in words.
        mean_excludes: classes left out of mIoU.
        class_map: name of the dataset and its mask values with their class ids, as a model's configuration holds them;
            `None` where masks hold the ids.
    """

    name: str
    labels: tuple[str, ...]
    palette: Sequence[tuple[int, int, int]]
    ignore_index: int
    train: Sequence[Any]
    validation: Sequence[Any] | None
    validation_source: str = "given"
    mean_excludes: tuple[str, ...] = ()
    class_map: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        require_images(self.name, self.train, self.validation)


def load_task(settings: SegmentationDatasetSettings, selection: str, images: ImageSettings | None = None) -> TaskData:
    """Load one dataset of a recipe, whose `selection` decides on which images weights may be chosen.

    Args:
        settings: of the dataset.
        selection: of the recipe.
        images: of the recipe, where they say which bands are read.

    Raises:
        KeyError: for an unknown dataset.
        ValueError: if its classes or images do not fit: see `task_labels`, `load_images` and [`ClassMap`].
    """
    entry = chosen_entry(settings, OWN_DATASET)
    labels = task_labels(settings, entry)
    options = {"classes": list(labels)} if not entry.labels and not settings.class_map else {}
    if settings.mask_values is not None:
        options["mask_values"] = settings.mask_values
    if images is not None:
        options |= band_options(images, entry)
    train, validation, source = load_images(settings, entry, selection, **options)
    ignore_index = settings.ignore_index if entry.ignore_index is None else entry.ignore_index
    palette = entry.palette if entry.labels == labels and entry.palette else natural_palette(labels)
    stored = None
    if settings.class_map:
        class_map = ClassMap.parse(settings.class_map, labels, ignore_index, settings.name)
        train = MappedSamples(train, class_map)
        validation = None if validation is None else MappedSamples(validation, class_map)
        ignore_index = IGNORED
        stored = {"dataset": entry.name, "values": class_map.values}
    excluded = entry.evaluation.excluded_classes if entry.evaluation and entry.labels == labels else ()
    return TaskData(
        name=settings.name,
        labels=labels,
        palette=palette,
        ignore_index=ignore_index,
        train=train,
        validation=validation,
        validation_source=source,
        mean_excludes=tuple(settings.mean_excludes) or excluded,
        class_map=stored,
    )


def task_labels(settings: SegmentationDatasetSettings, entry: DatasetEntry) -> tuple[str, ...]:
    """The classes of a task.

    Raises:
        ValueError: if the dataset has no masks or no classes, or others than the recipe says and no class_map.
    """
    if entry.task != "segmentation":
        raise ValueError(f"{settings.name}: {entry.name} is for {entry.task}, fine-tuning needs masks")
    of_dataset = entry.labels_of() or described_classes(settings.data_dir)
    known = () if settings.class_map and settings.classes else of_dataset
    labels = chosen_classes(settings, entry, known, "; class_map says which mask value is which of them")
    require_class_weights(settings, labels)
    return labels


def require_class_weights(settings: SegmentationDatasetSettings, labels: Sequence[str]) -> None:
    """Raise a ValueError unless there are no class weights, or one for each class."""
    weights = settings.class_weights
    if weights and len(weights) != len(labels):
        raise ValueError(f"{settings.name}.class_weights has {len(weights)} numbers for {len(labels)} classes")
