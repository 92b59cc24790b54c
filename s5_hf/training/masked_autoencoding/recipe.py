# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes of masked autoencoding; the defaults are those of MAE's paper (arXiv 2111.06377) for ViT-B."""

# Settings look alike because they are lists of keys; what is shared is in recipe_sections.py.

from dataclasses import dataclass
from typing import ClassVar

from ..recipe_reading import SectionedRecipe, option, require_positive
from ..recipe_sections import AdamWSettings, RunSettings, UnlabelledSettings, bookkeeping

IMAGES_OF_BASE = 256
"""Images of a step for which a base learning rate holds."""


@dataclass
class MAEModelSettings:
    """The encoder, and the decoder that is thrown away."""

    hidden_size: int = option(768, "width of the encoder")
    num_hidden_layers: int = option(12, "its depth")
    num_attention_heads: int = option(12, "its heads")
    patch_size: int = option(16, "side of its patches in pixels; smaller ones suit small objects and cost more")
    decoder_hidden_size: int = option(512, "width of MAE's decoder")
    decoder_num_hidden_layers: int = option(8, "its depth")
    decoder_num_attention_heads: int = option(16, "its heads")
    mask_ratio: float = option(0.75, "share of the patches that are hidden")
    normalized_targets: bool = option(
        True, "hidden patches are compared each normalised by itself; false for images in which most patches are noise"
    )

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        heads = {"hidden_size": "num_attention_heads", "decoder_hidden_size": "decoder_num_attention_heads"}
        counts = ("patch_size", "decoder_num_hidden_layers", *heads.values())
        require_positive({name: getattr(self, name) for name in counts})
        if self.num_hidden_layers < 4:
            raise ValueError(f"num_hidden_layers must be at least 4, got {self.num_hidden_layers}")
        for width, count in heads.items():
            if getattr(self, width) < 1 or getattr(self, width) % getattr(self, count):
                raise ValueError(
                    f"{width} must be a multiple of {count} {getattr(self, count)}, got {getattr(self, width)}"
                )
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"mask_ratio must lie between 0 and 1, got {self.mask_ratio}")


@dataclass
class MAEDataSettings(UnlabelledSettings):
    """Images without labels."""

    scale_range: list[float] = option([0.75, 1.5], "range of the random scale")


@dataclass
class MAEOptimizerSettings(AdamWSettings):
    """Steps, batches and AdamW."""

    total_steps: int = option(100_000, "optimizer steps")
    batch_size: int = option(64, "images per process and micro-step")
    learning_rate: float = option(1.5e-4, "highest learning rate, where there is no base_learning_rate")
    base_learning_rate: float | None = option(
        None, "highest learning rate per 256 images of a step of all processes, as in MAE's paper"
    )
    weight_decay: float = option(0.05, "of all parameters but norms and positions")
    beta2: float = option(0.95, "of AdamW")
    warmup_steps: int = option(1000, "steps of linear warm-up")

    def rate(self, processes: int) -> float:
        """The highest learning rate of a run of so many processes."""
        if self.base_learning_rate is None:
            return self.learning_rate
        return self.base_learning_rate * self.batch_size * self.gradient_accumulation * processes / IMAGES_OF_BASE


@dataclass
class MAERunSettings(RunSettings):
    """Seed, output, checkpoints and logging."""

    output_dir: str = option("runs/mae", "folder of the run")
    checkpoint_steps: int = option(5000, "steps between checkpoints")
    keep_checkpoints: int = option(1, "how many of the last checkpoints to keep")


@dataclass
class MAERecipe(SectionedRecipe):
    """All settings of a run, by section."""

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = bookkeeping(MAERunSettings) | {"num_workers", "data_dir", "compile"}

    model: MAEModelSettings
    data: MAEDataSettings
    optimizer: MAEOptimizerSettings
    run: MAERunSettings

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        counts = ("total_steps", "batch_size", "gradient_accumulation")
        require_positive({name: getattr(self.optimizer, name) for name in counts})
        self.model.check()
        self.data.check()
        if self.data.crop_size % self.model.patch_size:
            raise ValueError(
                f"crop_size {self.data.crop_size} is not a multiple of the patch size {self.model.patch_size}"
            )
        self.run.check()
