# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes of joint change detection: what they have in place of the settings of joint segmentation."""

from dataclasses import dataclass
from typing import ClassVar

from ..joint.recipe import DatasetSettings, JointRunSettings
from ..recipe_reading import option
from ..segmentation.recipe import (
    SegmentationDatasetSettings,
    SegmentationDataSettings,
    SegmentationModelSettings,
    SegmentationOptimizerSettings,
    SegmentationRecipe,
)


@dataclass
class ChangeDatasetSettings(SegmentationDatasetSettings):
    """One dataset of pairs."""

    dataset: str | None = option(
        None, "name for load_dataset; default: s5-NAME where it is known, else s5-image-pair-mask"
    )
    from_to: bool = option(False, "learn from which class to which, where the dataset has masks of both dates")


@dataclass
class JointChangeDataSettings(SegmentationDataSettings):
    """The views of all datasets."""

    scale_range: list[float] = option([0.8, 1.2], "range of the random scale")
    crop_size: int = option(256, "side of the crops in pixels, a multiple of the patch size")


@dataclass
class JointChangeRunSettings(JointRunSettings):
    """Bookkeeping, and which checkpoints are called best."""

    output_dir: str = option("runs/joint_change", "folder of the run")


@dataclass
class JointChangeRecipe(SegmentationRecipe):
    """All settings of a run, by section, and its datasets in the order of the experts."""

    DATASET: ClassVar[type[DatasetSettings]] = ChangeDatasetSettings

    model: SegmentationModelSettings
    data: JointChangeDataSettings
    optimizer: SegmentationOptimizerSettings
    run: JointChangeRunSettings
