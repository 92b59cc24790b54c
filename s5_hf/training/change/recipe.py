# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes of change detection: what they have beside, or in place of, the settings of S4 pre-training."""

# Settings look alike because they are lists of keys; what is shared is in recipe_sections.py.

from dataclasses import dataclass

from ..pretraining.recipe import (
    DataSettings,
    MethodSettings,
    OptimizerSettings,
    PretrainingModelSettings,
    PretrainingRecipe,
    PretrainingRunSettings,
)
from ..recipe_reading import option

FOR_SINGLE_IMAGES = ("open_vocabulary", "rs_mtdf")
"""Methods that learn from single images."""


@dataclass
class ChangeModelSettings(PretrainingModelSettings):
    """The network."""

    segmenter: str | None = option(None, "folder or name of a whole change detector to start from")


@dataclass
class ChangeDataSettings(DataSettings):
    """Labelled, unlabelled and validation pairs."""

    labelled_dataset: str = option("s5-image-pair-mask", "name of the labelled dataset of pairs for load_dataset")
    unlabelled_dataset: str = option(
        "s5-image-pair-mask",
        "name of the unlabelled dataset of pairs; or 'rest': what labelled_count leaves out of the labelled one",
    )
    from_to: bool = option(
        False, "learn from which class to which, where the dataset has masks of both dates, such as SECOND"
    )
    mean_excludes: list[str] = option(["unchanged"], "classes left out of mIoU; that of the others is the change IoU")
    scale_range: list[float] = option([0.8, 1.2], "range of the random scale")
    crop_size: int = option(256, "side of the crops in pixels, a multiple of the patch size")


@dataclass
class ChangeMethodSettings(MethodSettings):
    """The semi-supervised method."""

    grayscale_probability: float = option(0.0, "of removing the colours of a date in a strong view")


@dataclass
class ChangeRunSettings(PretrainingRunSettings):
    """Bookkeeping, and which weights are validated."""

    output_dir: str = option("runs/change", "folder of the run")


@dataclass
class ChangeRecipe(PretrainingRecipe):
    """All settings of a run, by section."""

    model: ChangeModelSettings
    data: ChangeDataSettings
    method: ChangeMethodSettings
    optimizer: OptimizerSettings
    run: ChangeRunSettings

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        super().check()
        if self.method.method in FOR_SINGLE_IMAGES:
            raise ValueError(
                f"method: {self.method.method} learns from single images; pairs take supervised, fixmatch or "
                "unimatch_v2"
            )
        if not 0 <= self.method.grayscale_probability <= 1:
            raise ValueError(
                f"grayscale_probability must lie between 0 and 1, got {self.method.grayscale_probability}"
            )
