# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes of SegEarth-R1; the defaults are those of the paper (arXiv 2504.09644) and its official code."""

# Settings look alike because they are lists of keys; what is shared is in recipe_sections.py.

from dataclasses import dataclass
from typing import ClassVar, Literal

from ...dataset_builders.registry import get_entry
from ..recipe_reading import SectionedRecipe, option, require_not_negative, require_positive
from ..recipe_sections import AdamWSettings, AdapterSettings, SelectingRunSettings, bookkeeping


@dataclass
class ReasonerSettings(AdapterSettings):
    """The network: its vision encoder, its language model and its decoders."""

    lora_rank: int = option(0, "rank of low-rank adapters in the language model (needs peft); 0 trains all of it")
    reasoner: str | None = option(
        None, "folder or name of a whole SegEarth-R1 to start from; the rest is then its own"
    )
    backbone: list[str] = option(
        ["swin", "embed_dim:128", "depths:[2,2,18,2]", "num_heads:[4,8,16,32]", "window_size:12"],
        "the vision encoder: a model type of transformers, or a folder or name whose configuration it takes, and "
        "settings in place of its own",
    )
    encoder: str | None = option(
        None, "folder or name of pre-trained weights of the vision encoder; none for new ones"
    )
    drop_path_rate: float = option(0.0, "stochastic depth of a vision encoder that is trained")
    freeze_encoder: bool = option(True, "leave the vision encoder as it is, always in evaluation mode")
    language_model: str | None = option(
        None, "folder or name of a causal language model with its tokenizer; none for a new Phi with words of the data"
    )
    language_width: int = option(64, "width of a new language model")
    language_layers: int = option(2, "depth of a new language model")
    language_heads: int = option(4, "attention heads of a new language model")
    mask_former: str | None = option(
        None, "folder or name of a Mask2Former whose decoders, and vision encoder if it is alike, are started from"
    )
    projector_channels: int = option(512, "width of the description projector")
    projector_heads: int = option(8, "attention heads of the description projector")
    decoder_channels: int = option(256, "width of both decoders, a multiple of 32")
    pixel_decoder_layers: int = option(6, "depth of the pixel decoder")
    mask_decoder_layers: int = option(9, "depth of the mask decoder")
    decoder_feedforward: int = option(2048, "width of the hidden layers of the mask decoder; half of it in the other")
    mask_weight: float = option(5.0, "of the cross-entropy of masks")
    dice_weight: float = option(5.0, "of the dice loss of masks")
    language_weight: float = option(1.0, "of the loss of the language model; 0 for words that refer, as published")
    train_points: int = option(12544, "points of a mask at which the loss looks")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        for name in ("reasoner", "encoder", "language_model", "mask_former"):  # `none` takes back what a recipe says
            if getattr(self, name) == "none":
                setattr(self, name, None)
        self.check_adapters()
        sizes = ("language_width", "language_layers", "language_heads", "decoder_feedforward", "train_points")
        require_positive({name: getattr(self, name) for name in sizes})
        require_not_negative({name: getattr(self, name) for name in ("mask_weight", "dice_weight", "language_weight")})
        if self.lora_rank and not (self.language_model or self.reasoner):
            raise ValueError("lora_rank is for a language model that was trained before: give language_model")


@dataclass
class QuestionDataSettings:
    """Images, questions and masks."""

    dataset: str = option("s5-image-question-mask", "name of a dataset with questions and masks")
    data_dir: str | None = option(None, "its data_dir")
    split: str = option("train", "split that is learned from")
    validation_split: str = option("val", "split that is validated on; none for none")
    validation_count: int | None = option(None, "how many of its samples, the first ones; default: all")
    questions_per_image: int = option(1, "questions about an image in a row of a batch, chosen anew in every epoch")
    kind: Literal["reasoning", "referring"] = option("reasoning", "what the prompt asks for")
    image_size: int = option(1024, "side in pixels of the square that images lie in, a multiple of 32")
    image_mean: list[float] = option([0.485, 0.456, 0.406], "mean of each channel, for images in 0..1")
    image_std: list[float] = option([0.229, 0.224, 0.225], "standard deviation of each channel")
    num_workers: int = option(4, "processes that decode images")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        entry = get_entry(self.dataset)
        if entry.task != "reasoning":
            raise ValueError(f"dataset: {entry.name} is for {entry.task}, expected one with questions and masks")
        require_not_negative({"num_workers": self.num_workers})
        require_positive({name: getattr(self, name) for name in ("validation_count", "questions_per_image")})


@dataclass
class ReasoningOptimizerSettings(AdamWSettings):
    """Epochs, batches and AdamW."""

    epochs: float = option(15.0, "times every image, or sample, is seen, unless total_steps is given")
    total_steps: int | None = option(None, "optimizer steps")
    batch_size: int = option(1, "images per process and micro-step")
    learning_rate: float = option(1e-4, "highest learning rate")
    weight_decay: float = option(0.0, "of all parameters but norms and positions")
    warmup_share: float = option(0.03, "of the steps, for a linear warm-up, unless warmup_steps is given")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        counts = ("total_steps", "batch_size", "gradient_accumulation")
        require_positive({name: getattr(self, name) for name in counts})
        if self.epochs <= 0 or not 0 <= self.warmup_share < 1:
            raise ValueError(
                f"epochs is {self.epochs} and warmup_share {self.warmup_share}: expected above 0, and 0..1"
            )


@dataclass
class ReasoningRunSettings(SelectingRunSettings):
    """Seed, output, checkpoints and logging."""

    output_dir: str = option("runs/reasoning", "folder of the run")
    validation_steps: int = option(0, "steps between validations; 0 for the end only")


@dataclass
class ReasoningRecipe(SectionedRecipe):
    """All settings of a run, by section."""

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = bookkeeping(ReasoningRunSettings) | {
        *("num_workers", "data_dir", "compile", "reasoner", "encoder", "language_model", "mask_former"),
        *("validation_split", "validation_count"),
    }

    model: ReasonerSettings
    data: QuestionDataSettings
    optimizer: ReasoningOptimizerSettings
    run: ReasoningRunSettings

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        for section in (self.model, self.data, self.optimizer, self.run):
            section.check()
