# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes of SRUIT (arXiv 2502.11468), which publishes no settings: the defaults are those of CycleGAN."""

# Settings look alike because they are lists of keys; what is shared is in recipe_sections.py.

from dataclasses import dataclass
from typing import ClassVar, Literal

from ...dataset_builders.registry import get_entry
from ..recipe_reading import SectionedRecipe, option, require_not_negative, require_positive
from ..recipe_sections import AdamWSettings, SelectingRunSettings, UnlabelledSettings, bookkeeping

LEAST_PATCH = 4


@dataclass
class TranslatorSettings:
    """Both generators, both discriminators, and the weights of the losses."""

    translator: str | None = option(None, "folder or name of a translator to start from; its sizes are then its own")
    hidden_size: int = option(64, "channels after the first convolution; they grow to four times as many")
    num_own_blocks: int = option(3, "residual blocks of each encoder and each decoder")
    num_shared_blocks: int = option(1, "residual blocks that both encoders share, and as many for both decoders")
    discriminator_size: int = option(64, "channels after the first convolution of the discriminators")
    discriminator_layers: int = option(3, "convolutions of the discriminators that halve the sides")
    adversarial_weight: float = option(1.0, "weight of the loss that asks for images like those of the date")
    cycle_weight: float = option(10.0, "weight of the loss that asks for the image back after both translations")
    self_weight: float = option(10.0, "weight of the loss that asks for the image back from the latent space")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        counts = ("hidden_size", "discriminator_size", "discriminator_layers")
        require_positive({name: getattr(self, name) for name in counts})
        others = ("num_own_blocks", "num_shared_blocks", "adversarial_weight", "cycle_weight", "self_weight")
        require_not_negative({name: getattr(self, name) for name in others})


@dataclass
class TranslationDataSettings(UnlabelledSettings):
    """Pairs of two dates; masks are not looked at."""

    dataset: str = option("s5-image-pair-mask", "name of a dataset of pairs of two dates")
    validation_split: str = option("none", "split whose pairs are translated for validation; none for none")
    validation_count: int | None = option(None, "how many of its pairs, the first ones; default: all")
    crop_size: int = option(256, "side of the crops in pixels, a multiple of 4")
    scale_range: list[float] = option([1.0, 1.0], "range of the random scale")
    image_mean: list[float] = option([0.5, 0.5, 0.5], "mean of each channel: 0.5, as the network gives -1..1")
    image_std: list[float] = option([0.5, 0.5, 0.5], "standard deviation of each channel: 0.5")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        super().check()
        require_positive({"validation_count": self.validation_count})
        entry = get_entry(self.dataset)
        if entry.task != "change":
            raise ValueError(f"dataset: {entry.name} is for {entry.task}, expected one with pairs of two dates")
        if {*self.image_mean, *self.image_std} != {0.5}:
            raise ValueError(
                f"image_mean is {self.image_mean} and image_std {self.image_std}, expected 0.5 for every channel: the "
                "network gives values in -1..1"
            )


@dataclass
class TranslationOptimizerSettings(AdamWSettings):
    """Steps, batches and Adam."""

    total_steps: int = option(100_000, "optimizer steps")
    batch_size: int = option(1, "pairs per process and micro-step")
    learning_rate: float = option(2e-4, "highest learning rate")
    weight_decay: float = option(0.0, "of all parameters")
    beta1: float = option(0.5, "of Adam")
    schedule: Literal["cosine", "poly", "constant"] = option("constant", "course of the learning rate")


@dataclass
class TranslationRunSettings(SelectingRunSettings):
    """Seed, output, checkpoints and logging."""

    output_dir: str = option("runs/translation", "folder of the run")


@dataclass
class TranslationRecipe(SectionedRecipe):
    """All settings of a run, by section."""

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = bookkeeping(TranslationRunSettings) | {
        *("num_workers", "data_dir", "compile", "translator", "validation_split", "validation_count"),
    }

    model: TranslatorSettings
    data: TranslationDataSettings
    optimizer: TranslationOptimizerSettings
    run: TranslationRunSettings

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        counts = ("total_steps", "batch_size", "gradient_accumulation")
        require_positive({name: getattr(self.optimizer, name) for name in counts})
        for section in (self.model, self.data, self.run):
            section.check()
        least = LEAST_PATCH * 2**self.model.discriminator_layers
        if self.data.crop_size % 4 or self.data.crop_size < least:
            raise ValueError(
                f"crop_size is {self.data.crop_size}, expected a multiple of 4, and {least} or more with "
                f"{self.model.discriminator_layers} discriminator_layers"
            )
