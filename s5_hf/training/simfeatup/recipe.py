# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes of SimFeatUp; the defaults are those of SegEarth-OV (arXiv 2410.01768) and its official code."""

# Settings look alike because they are lists of keys; what is shared is in recipe_sections.py.

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..recipe_reading import SectionedRecipe, option, require_not_negative, require_positive
from ..recipe_sections import AdamWSettings, RunSettings, UnlabelledSettings, bookkeeping


@dataclass
class SimFeatUpSettings:
    """What is up-sampled, by what, and what the losses are made of."""

    featurizer: str | None = option(
        None,
        "folder or name of the frozen network: a CLIP, a SegEarth-OV model, any vision transformer, such as DINOv2, "
        "or a backbone in stages with a map at stride 16, such as ResNet or EfficientNet-Lite",
    )
    upsampler: Literal["jbu_one", "jbu_stack"] = option("jbu_one", "one module used four times, or four modules")
    start: Literal["random", "colours"] = option(
        "random",
        "weights of a new up-sampler: random, as published, or kernels that keep to pixels of like colour from the "
        "first step",
    )
    jitters: int = option(5, "moved and enlarged copies of an image in a step")
    jitter_padding: int = option(20, "pixels of reflected border before a copy is cut out")
    jitter_zoom: float = option(2.0, "a copy is enlarged up to this with a probability of one half")
    projections: int = option(30, "random directions in which features are compared")
    content_weight: float = option(0.1, "weight of the loss that asks for the image back")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        if self.featurizer is None:
            raise ValueError("featurizer is missing: name the network whose features are up-sampled")
        names = ("jitters", "jitter_zoom", "projections")
        require_positive({name: getattr(self, name) for name in names})
        require_not_negative({name: getattr(self, name) for name in ("jitter_padding", "content_weight")})


@dataclass
class SimFeatUpDataSettings(UnlabelledSettings):
    """Images without labels."""

    scale_range: list[float] = option([1.0, 1.0], "range of the random scale")


@dataclass
class SimFeatUpOptimizerSettings(AdamWSettings):
    """Steps, batches and NAdam."""

    total_steps: int = option(10_000, "optimizer steps")
    batch_size: int = option(4, "images per process and micro-step")
    learning_rate: float = option(1e-3, "highest learning rate")
    weight_decay: float = option(0.0, "of all parameters but norms and positions")
    schedule: Literal["cosine", "poly", "constant"] = option("constant", "course of the learning rate")
    first_steps: int = option(10, "of how many of the first steps the gradient norm is at most first_gradient_clip")
    first_gradient_clip: float = option(1e-4, "largest gradient norm of the first steps")


@dataclass
class SimFeatUpRunSettings(RunSettings):
    """Seed, output, checkpoints and logging."""

    output_dir: str = option("runs/simfeatup", "folder of the run")
    checkpoint_steps: int = option(1000, "steps between checkpoints")


@dataclass
class SimFeatUpRecipe(SectionedRecipe):
    """All settings of a run, by section."""

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = bookkeeping(SimFeatUpRunSettings) | {
        *("num_workers", "data_dir", "compile", "featurizer"),
    }

    model: SimFeatUpSettings
    data: SimFeatUpDataSettings
    optimizer: SimFeatUpOptimizerSettings
    run: SimFeatUpRunSettings

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        counts = ("total_steps", "batch_size", "gradient_accumulation")
        require_positive({name: getattr(self.optimizer, name) for name in counts})
        require_not_negative({"first_steps": self.optimizer.first_steps})
        self.model.check()
        self.data.check()
        self.run.check()
        if self.model.jitter_padding >= self.data.crop_size:
            raise ValueError(
                f"jitter_padding is {self.model.jitter_padding}, expected less than crop_size {self.data.crop_size}: "
                "the border is reflected"
            )
