# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes of AlignEarth (arXiv 2508.18067). The paper's code is not published: the weights are our reading."""

# Settings look alike because they are lists of keys; what is shared is in recipe_sections.py.

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..recipe_reading import SectionedRecipe, option, require_not_negative, require_positive
from ..recipe_sections import AdamWSettings, RunSettings, ViewSettings, bookkeeping


@dataclass
class AlignEarthSettings:
    """The two networks, and the weights of the losses between them."""

    clip: str = option("openai/clip-vit-base-patch16", "folder or name of the CLIP for optical images")
    contrast_weight: float = option(1.0, "of the loss by which an image finds its partner among those of the batch")
    image_weight: float = option(1.0, "of the cosine distance of whole images")
    patch_weight: float = option(1.0, "of the distance of patches")
    patch_distance: Literal["cosine", "squared"] = option("cosine", "distance of patches")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        weights = {name: getattr(self, name) for name in ("contrast_weight", "image_weight", "patch_weight")}
        require_not_negative(weights)
        if not any(weights.values()):
            raise ValueError(f"{', '.join(weights)} are all 0: there is nothing to learn")


@dataclass
class AlignEarthDataSettings(ViewSettings):
    """Pairs of images."""

    data_dir: str | None = option(None, "folder with optical/ and radar/, whose files have the same names")
    crop_size: int = option(224, "side of the crops in pixels, a multiple of the patch size")
    scale_range: list[float] = option([1.0, 1.0], "range of the random scale")
    image_mean: list[float] = option([0.48145466, 0.4578275, 0.40821073], "mean of each channel, for images in 0..1")
    image_std: list[float] = option([0.26862954, 0.26130258, 0.27577711], "standard deviation of each channel")


@dataclass
class AlignEarthOptimizerSettings(AdamWSettings):
    """Steps, batches and AdamW."""

    total_steps: int = option(10_000, "optimizer steps")
    batch_size: int = option(64, "pairs per process and micro-step; the contrast is among them")
    learning_rate: float = option(1e-5, "highest learning rate")
    weight_decay: float = option(0.05, "of all parameters but norms and positions")
    warmup_steps: int = option(500, "steps of linear warm-up")


@dataclass
class AlignEarthRunSettings(RunSettings):
    """Seed, output, checkpoints and logging."""

    output_dir: str = option("runs/alignearth", "folder of the run")


@dataclass
class AlignEarthRecipe(SectionedRecipe):
    """All settings of a run, by section."""

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = bookkeeping(AlignEarthRunSettings) | {
        *("num_workers", "data_dir", "compile", "clip"),
    }

    model: AlignEarthSettings
    data: AlignEarthDataSettings
    optimizer: AlignEarthOptimizerSettings
    run: AlignEarthRunSettings

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        counts = ("total_steps", "batch_size", "gradient_accumulation")
        require_positive({name: getattr(self.optimizer, name) for name in counts})
        if self.model.contrast_weight and self.optimizer.batch_size < 2:
            raise ValueError("batch_size is 1, expected 2 or more: an image finds its partner among several")
        self.model.check()
        self.data.check()
        self.run.check()
