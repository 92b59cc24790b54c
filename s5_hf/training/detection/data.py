"""The datasets of a detection recipe: one task each, with its training and its validation images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...dataset_builders.errors import LayoutError
from ...dataset_builders.registry import DatasetEntry, get_entry
from ...imaging.palettes import default_palette
from ..image_input import band_options
from ..joint.splits import chosen_classes, chosen_entry, load_images, require_images
from ..pretraining.data import load_split, sample_ids
from ..pretraining.labelled_choice import listed_choice, random_choice, read_names
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
        unlabelled: samples with `image`, for a semi-supervised method; `None` for no such.
    """

    name: str
    labels: tuple[str, ...]
    train: Sequence[Any]
    validation: Sequence[Any] | None
    validation_source: str = "given"
    voc07: bool = False
    unlabelled: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        require_images(self.name, self.train, self.validation)
        if self.unlabelled is not None and len(self.unlabelled) == 0:
            raise ValueError(f"the task {self.name!r} has no unlabelled images: all of its images are labelled")

    @property
    def palette(self) -> Sequence[tuple[int, int, int]]:
        """A colour per class."""
        return default_palette(len(self.labels))


def load_detection_task(
    settings: DetectionDatasetSettings,
    selection: str,
    images: ImageSettings | None = None,
    seed: int = 0,
    with_unlabelled: bool = False,
) -> DetectionTaskData:
    """Load one dataset of a recipe.

    Args:
        settings: of the dataset.
        selection: of the recipe; it decides on which images weights may be chosen.
        images: of the recipe; they say which bands are read.
        seed: chooses the labelled images where only some are used.
        with_unlabelled: whether there is a method that takes unlabelled images.

    Raises:
        KeyError: for an unknown dataset.
        ValueError: if its classes or images do not fit: see `detection_labels` and `load_images`; if there are too few
            labelled images, or no unlabelled ones.
        FileNotFoundError: if there is no list of labelled images.
    """
    entry = chosen_entry(settings, OWN_DATASET)
    labels = detection_labels(settings, entry)
    options = {} if entry.labels else {"classes": list(labels), "ignored_classes": list(settings.ignored_classes)}
    options |= {} if images is None else band_options(images, entry)
    train, validation, source = load_images(settings, entry, selection, settings.config, **options)
    if settings.drop_empty:
        train = train.select([row for row, objects in enumerate(train["objects"]) if objects["category"]])
    voc07 = entry.evaluation is not None and entry.evaluation.average_precision == "voc07"
    train, unlabelled = labelled_and_rest(settings, train, seed)
    if settings.unlabelled_dataset != "rest":
        unlabelled = other_images(settings, images) if settings.has_unlabelled and with_unlabelled else None
    return DetectionTaskData(
        settings.name, labels, train, validation, source, voc07, unlabelled if with_unlabelled else None
    )


def labelled_and_rest(settings: DetectionDatasetSettings, train: Any, seed: int) -> tuple[Any, Any | None]:
    """The images of `labelled_count` or `labelled_list`, and what is left; all and `None` where there is neither.

    Raises:
        ValueError: if there are too few images, or the list names others.
        FileNotFoundError: if there is no such list.
    """
    if settings.labelled_list is not None:
        path = Path(settings.labelled_list)
        chosen = sorted(listed_choice(sample_ids(train), read_names(path), settings.labelled_count, str(path)))
    elif settings.labelled_count is not None:
        chosen = random_choice(len(train), settings.labelled_count, seed)
    else:
        return train, None
    return train.select(chosen), train.select(sorted(set(range(len(train))) - set(chosen)))


def other_images(settings: DetectionDatasetSettings, images: ImageSettings | None) -> Any:
    """The images without labels that the recipe names.

    Raises:
        ValueError: if they cannot be loaded.
    """
    entry = get_entry(settings.unlabelled_dataset)
    options = {} if images is None else band_options(images, entry)
    try:
        return load_split(entry.name, settings.unlabelled_dir, settings.unlabelled_split, False, options)
    except (LayoutError, ValueError) as error:
        raise ValueError(f"the unlabelled images of {settings.name!r} cannot be loaded: {error}") from error


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
