# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes of joint segmentation: what they have beside the settings of every joint training."""

from dataclasses import dataclass
from typing import ClassVar

from ..joint.recipe import (
    DatasetSettings,
    JointDataSettings,
    JointModelSettings,
    JointOptimizerSettings,
    JointRecipe,
)
from ..recipe_reading import option
from ..recipe_sections import ModelSettings, ViewSettings


@dataclass
class SegmentationDatasetSettings(DatasetSettings):
    """One dataset with masks."""

    class_map: list[str] = option([], "mask value to class, as 3:road 4:ignore; every value that occurs must be named")
    ignore_index: int = option(255, "mask value without a class, where the dataset does not know it")
    mask_values: str | None = option(None, "of Vaihingen and Potsdam, where the files do not tell: release or shifted")
    mean_excludes: list[str] = option([], "classes left out of mIoU; default: those of the dataset's own protocol")
    class_weights: list[float] = option([], "weight of each class in the loss; default: 1 each")


@dataclass
class SegmentationModelSettings(JointModelSettings, ModelSettings):
    """The segmenter."""


@dataclass
class SegmentationDataSettings(JointDataSettings, ViewSettings):
    """The views of all datasets."""

    rotation_probability: float = option(0.5, "of a turn by 90 degrees")
    color_augmentation: bool = option(True, "colour jitter, grayscale and blur, as for the strong view")


@dataclass
class SegmentationOptimizerSettings(JointOptimizerSettings):
    """Epochs and AdamW."""

    schedule_by_epoch: bool = option(False, "change the learning rate between epochs only, as officially")
    layer_decay: float = option(0.9, "learning rate factor per block of the backbone; 1 for none")


@dataclass
class SegmentationRecipe(JointRecipe):
    """All settings of a run, by section, and its datasets in the order of the experts."""

    DATASET: ClassVar[type[DatasetSettings]] = SegmentationDatasetSettings

    model: SegmentationModelSettings
    data: SegmentationDataSettings
    optimizer: SegmentationOptimizerSettings

    def check_dataset(self, settings: SegmentationDatasetSettings) -> None:
        """Raise a ValueError for settings of a dataset that a segmenter cannot learn with."""
        super().check_dataset(settings)
        name = settings.name
        if min(settings.class_weights, default=0) < 0:
            raise ValueError(f"{name}.class_weights must not be negative, got {settings.class_weights}")
        if self.batch_size_of(settings) == 1 and not self.model.freeze_batch_norm:
            raise ValueError(
                f"{name}.batch_size must be at least 2: batch norm in the decoder needs two images of a dataset; "
                "or set freeze_batch_norm"
            )
