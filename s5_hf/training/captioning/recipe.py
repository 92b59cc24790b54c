# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes of MV-CC; the defaults are those of the paper (arXiv 2410.23946) and its official code."""

# Settings look alike because they are lists of keys; what is shared is in recipe_sections.py.

from dataclasses import dataclass
from typing import ClassVar, Literal

from ...dataset_builders.registry import get_entry
from ..recipe_reading import SectionedRecipe, option, require_not_negative, require_positive
from ..recipe_sections import AdamWSettings, SelectingRunSettings, bookkeeping


@dataclass
class CaptionerSettings:
    """The network: its video encoder and its decoder."""

    captioner: str | None = option(None, "folder or name of a whole captioner to start from; the rest is then its own")
    backbone: list[str] = option(
        ["videomae"],
        "the video encoder: a model type of transformers, or a folder or name whose configuration it takes, and "
        "settings in place of its own",
    )
    encoder: str | None = option(None, "folder or name of pre-trained weights of the video encoder; none for new ones")
    freeze_encoder: bool = option(True, "leave the video encoder as it is, always in evaluation mode")
    decoder: list[str] = option(
        [],
        "a new decoder in place of the published one: a model type of transformers with cross-attention, and settings "
        "in place of its own, as in --decoder gpt2 n_inner:64; its sizes are the following",
    )
    hidden_size: int = option(2048, "width of the decoder")
    num_hidden_layers: int = option(1, "depth of the decoder")
    num_attention_heads: int = option(8, "attention heads of the decoder")
    dropout: float = option(0.1, "in the decoder")
    mask_gate: Literal["none", "hard", "soft"] = option(
        "hard", "what a mask of changes does to the features: hard leaves only those under it, soft weakens the others"
    )

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        counts = ("hidden_size", "num_hidden_layers", "num_attention_heads")
        require_positive({name: getattr(self, name) for name in counts})
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie between 0 and 1, got {self.dropout}")


@dataclass
class CaptionDataSettings:
    """Images of two dates and sentences."""

    dataset: str = option("s5-levir-cc", "name of a dataset with sentences about changes")
    data_dir: str | None = option(None, "its data_dir")
    split: str = option("train", "split that is learned from")
    validation_split: str = option("val", "split that is validated on; none for none")
    validation_count: int | None = option(None, "how many of its pairs, the first ones; default: all")
    image_size: int = option(224, "side of the frames in pixels, as the video encoder takes them")
    image_mean: list[float] = option([0.485, 0.456, 0.406], "mean of each channel, for images in 0..1")
    image_std: list[float] = option([0.229, 0.224, 0.225], "standard deviation of each channel")
    least_count: int = option(5, "how often a word comes in the training sentences, to be learned")
    max_length: int = option(41, "words of a sentence with its marks")
    num_workers: int = option(4, "processes that decode images")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        entry = get_entry(self.dataset)
        if entry.task != "captioning":
            raise ValueError(f"dataset: {entry.name} is for {entry.task}, expected one with sentences")
        require_not_negative({"num_workers": self.num_workers})
        counts = ("validation_count", "image_size", "least_count")
        require_positive({name: getattr(self, name) for name in counts})
        if self.max_length < 3:
            raise ValueError(f"max_length is {self.max_length}, expected room for a word between two marks: 3 or more")


@dataclass
class CaptioningOptimizerSettings(AdamWSettings):
    """Epochs, batches and Adam."""

    epochs: float = option(50.0, "times every sentence is seen, unless total_steps is given")
    total_steps: int | None = option(None, "optimizer steps")
    batch_size: int = option(32, "sentences per process and micro-step")
    learning_rate: float = option(1e-4, "highest learning rate")
    weight_decay: float = option(0.0, "of all parameters but norms and positions")
    halve_every: float = option(5.0, "epochs after which the learning rate is halved; 0 for the course of schedule")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        counts = ("total_steps", "batch_size", "gradient_accumulation", "epochs")
        require_positive({name: getattr(self, name) for name in counts})
        require_not_negative({"halve_every": self.halve_every})


@dataclass
class CaptioningRunSettings(SelectingRunSettings):
    """Seed, output, checkpoints and logging."""

    output_dir: str = option("runs/captioning", "folder of the run")
    validation_steps: int = option(0, "steps between validations; 0 for the end only")


@dataclass
class CaptioningRecipe(SectionedRecipe):
    """All settings of a run, by section."""

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = bookkeeping(CaptioningRunSettings) | {
        *("num_workers", "data_dir", "compile", "captioner", "encoder"),
    }

    model: CaptionerSettings
    data: CaptionDataSettings
    optimizer: CaptioningOptimizerSettings
    run: CaptioningRunSettings

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        for section in (self.model, self.data, self.optimizer, self.run):
            section.check()
