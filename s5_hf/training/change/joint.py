"""Joint training of a change detector on one or many datasets of pairs: shared encoder or experts, a head for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...imaging.natural_colors import natural_palette
from ...modeling.change_classes import CHANGE_LABELS, from_to_labels
from ...modeling.image_processing_s5_change import S5ChangeImageProcessor
from ...modeling.modeling_s5_change import S5ForChangeDetection
from ..image_input import band_options
from ..joint.splits import chosen_entry, load_images
from ..kind import TrainingKind
from ..recipe_sections import ImageSettings
from ..segmentation.kind import JointSegmentation
from ..segmentation.task_data import TaskData
from .data import CHANGE_COLORS, OWN_DATASET, has_date_masks, images_of_dates, own_classes, require_pairs
from .joint_recipe import ChangeDatasetSettings
from .kind import scores_of_changes
from .pair_reader import PairReader


@dataclass(frozen=True)
class PairTaskData(TaskData):
    """As [`TaskData`], with samples of two dates.

    Attributes:
        date_classes: of each date, where the labels are those of changes from one to another.
    """

    date_classes: tuple[str, ...] = ()


def load_pair_task(settings: ChangeDatasetSettings, selection: str, images: ImageSettings) -> PairTaskData:
    """Load one dataset of a recipe; arguments and errors as for `load_task` of segmentation.

    Raises:
        ValueError: also if the dataset holds no pairs, or not the classes that are asked for.
    """
    entry = require_pairs(chosen_entry(settings, OWN_DATASET).name)
    if settings.class_map or settings.mask_values:
        raise ValueError(f"{settings.name}: class_map and mask_values are for masks of single images")
    own = own_classes(settings.classes, settings.data_dir, entry)
    options = {"classes": list(own)} if own and entry.name == OWN_DATASET else {}
    train, validation, source = load_images(settings, entry, selection, **options, **band_options(images, entry))
    classes = tuple(own or entry.labels[1:]) if settings.from_to else ()
    if classes and not has_date_masks(entry):
        raise ValueError(f"{settings.name}: from_to needs masks of both dates, which {entry.name} does not have")
    labels = from_to_labels(classes) if classes else CHANGE_LABELS if has_date_masks(entry) else own or entry.labels
    return PairTaskData(
        name=settings.name,
        labels=tuple(labels),
        palette=CHANGE_COLORS if tuple(labels) == CHANGE_LABELS else natural_palette(labels),
        ignore_index=settings.ignore_index if entry.ignore_index is None else entry.ignore_index,
        train=train,
        validation=validation,
        validation_source=source,
        mean_excludes=tuple(settings.mean_excludes) or CHANGE_LABELS[:1],
        date_classes=classes,
    )


class JointChangeDetection(JointSegmentation):
    """One change detector, many datasets of pairs."""

    project = "joint_change"
    model_folder = "change_detector"
    model_class = S5ForChangeDetection
    score, score_in_words = "change_iou", "change IoU"

    def load_task(self, settings: ChangeDatasetSettings) -> PairTaskData:
        """The data of one dataset of the recipe."""
        return load_pair_task(settings, self.recipe.run.selection, self.recipe.data)

    def heads(self) -> dict[str, Any]:
        """Classes of both dates, of the tasks that have them."""
        return {"date_classes": {task.name: task.date_classes for task in self.tasks if task.date_classes}}

    def reader(self, task: PairTaskData) -> PairReader:
        """What reads the columns of a sample."""
        return PairReader(len(task.date_classes))

    def more_scores(self, task: PairTaskData, counts: torch.Tensor) -> dict[str, float]:
        """IoU and F1 of changed pixels, and the scores of SECOND."""
        return scores_of_changes(counts, len(task.date_classes))

    def learned_from(self) -> Sequence[Any]:
        """The images of both dates of all datasets."""
        return [images for task in self.tasks for images in images_of_dates(task.train)]

    def image_shape(self) -> torch.Size:
        """Shape `(batch, 2, channels, height, width)` of a batch that the network takes."""
        batch, *image = TrainingKind.image_shape(self)
        return torch.Size((batch, len(PairReader.columns), *image))

    @property
    def processor(self) -> S5ChangeImageProcessor:
        """The image processor that goes with the networks of the run."""
        return S5ChangeImageProcessor(**self.input_settings())


__all__ = ["JointChangeDetection", "PairTaskData"]
