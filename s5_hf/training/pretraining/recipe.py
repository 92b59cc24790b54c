# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes: typed settings of a pre-training run, from a YAML file and the command line.

A YAML file holds flat keys, the fields of the classes below. `--key value` on the command line goes before the file.
Unknown keys and values of the wrong type are refused.
"""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...semi_supervised import method_names
from ..recipe_reading import (
    SectionedRecipe,
    differing_keys,
    option,
    parse_sections,
    read_settings,
    require_not_negative,
    require_positive,
    settings_to_arguments,
    split_file,
)


@dataclass
class EncoderSettings:
    """The backbone."""

    model_size: str = option("b", "size of a new S5 ViT: ti, s, b, l or h")
    hidden_size: int | None = option(None, "width of a new ViT of another size than the named ones")
    num_hidden_layers: int | None = option(None, "depth of a new ViT of another size")
    num_attention_heads: int | None = option(None, "heads of a new ViT of another size")
    encoder: str | None = option(None, "folder or name of pre-trained encoder weights, such as those of MAE")
    segmenter: str | None = option(None, "folder or name of a whole segmenter to start from")
    drop_path_rate: float = option(0.1, "stochastic depth of the last block")
    gradient_checkpointing: bool = option(False, "recompute activations: less memory, more time")


@dataclass
class ModelSettings(EncoderSettings):
    """The network."""

    decoder_channels: int = option(256, "width of the UPerNet decoder")
    classifier_dropout: float = option(0.1, "channel dropout before the classifier")
    freeze_batch_norm: bool = option(False, "keep batch norm statistics as they are")


@dataclass
class ViewSettings:
    """How images become crops."""

    num_workers: int = option(4, "processes that decode and crop; pre-training has them for each of its two streams")
    crop_size: int = option(512, "side of the crops in pixels, a multiple of the patch size")
    scale_range: list[float] = option([0.5, 2.0], "range of the random scale")
    image_mean: list[float] = option([0.485, 0.456, 0.406], "mean of each channel, for images in 0..1")
    image_std: list[float] = option([0.229, 0.224, 0.225], "standard deviation of each channel")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        require_positive({"crop_size": self.crop_size})
        require_not_negative({"num_workers": self.num_workers})
        if len(self.scale_range) != 2 or not 0 < self.scale_range[0] <= self.scale_range[1]:
            raise ValueError(f"scale_range must be two positive numbers, the smaller first, got {self.scale_range}")
        if len(self.image_mean) != len(self.image_std):
            raise ValueError(f"image_mean has {len(self.image_mean)} channels, image_std {len(self.image_std)}")


@dataclass
class DataSettings(ViewSettings):
    """Labelled, unlabelled and validation images."""

    labelled_dataset: str = option("s5-isaid", "name of the labelled dataset for load_dataset")
    labelled_dir: str | None = option(None, "its data_dir")
    labelled_split: str = option("train", "its split")
    labelled_count: int | None = option(None, "use only this many labelled images, chosen by the seed")
    unlabelled_dataset: str = option(
        "rs4p-1m", "name of the unlabelled dataset, or 'rest': what labelled_count leaves out of the labelled one"
    )
    unlabelled_dir: str | None = option(None, "its data_dir")
    unlabelled_split: str = option("train", "its split")
    validation_split: str | None = option("val", "split of the labelled dataset for validation; null for none")
    validation_count: int | None = option(None, "validate on the first images only")
    classes: list[str] = option([], "class names in the order of their ids, where the dataset does not know them")
    mean_excludes: list[str] = option([], "classes left out of mIoU, such as iSAID's background")
    ignore_index: int = option(255, "mask value without a class")
    streaming: bool = option(False, "stream the datasets instead of indexing them")


@dataclass
class MethodSettings:
    """The semi-supervised method."""

    method: str = option("fixmatch", "supervised, fixmatch, unimatch_v2 or another registered method")
    confidence_threshold: float = option(0.95, "probability from which on a pseudo-label counts")
    unlabelled_from_step: int = option(0, "steps with labelled images only, until a new decoder's batch norm settles")
    teacher_decay: float = option(0.996, "decay of UniMatch V2's teacher")
    channel_dropout: bool = option(True, "complementary channel dropout of UniMatch V2")
    cutmix_partner: Literal["same_batch", "second_batch"] = option(
        "same_batch", "where CutMix pastes from; second_batch is the official way and takes another forward pass"
    )
    cutmix_probability: float = option(0.5, "probability of CutMix for an image")


@dataclass
class AdamWSettings:
    """AdamW, its schedule and its precision."""

    gradient_accumulation: int = option(1, "micro-steps per optimizer step")
    learning_rate: float = option(5e-5, "highest learning rate")
    weight_decay: float = option(0.01, "of all parameters but norms and positions")
    beta1: float = option(0.9, "of AdamW")
    beta2: float = option(0.999, "of AdamW")
    layer_decay: float = option(1.0, "learning rate factor per block of the backbone; 1 for none")
    schedule: Literal["cosine", "poly", "constant"] = option("cosine", "course of the learning rate")
    warmup_steps: int = option(0, "steps of linear warm-up")
    gradient_clip: float | None = option(None, "largest gradient norm; null for none")
    mixed_precision: Literal["no", "fp16", "bf16"] = option("no", "precision of both passes")
    compile: bool = option(False, "torch.compile the network")
    sync_batch_norm: bool = option(True, "share batch statistics between GPU processes")


@dataclass
class OptimizerSettings(AdamWSettings):
    """Steps, batches and AdamW."""

    total_steps: int = option(120_000, "optimizer steps")
    labelled_batch_size: int = option(12, "labelled images per process and micro-step")
    unlabelled_batch_size: int = option(12, "unlabelled images per process and micro-step")
    weight_average_decay: float | None = option(None, "decay of an average of the weights; null for none")


@dataclass
class RunSettings:
    """Seed, output, checkpoints, validation and logging."""

    output_dir: str = option("runs/s4p", "folder of the run")
    seed: int = option(0, "of weights, order and augmentation")
    resume: str | None = option(
        None,
        "'auto' to go on with the newest checkpoint if there is one, or its folder; 'force' as 'auto', even if files "
        "of the checkpoint or the data have changed",
    )
    checkpoint_steps: int = option(2000, "steps between checkpoints")
    keep_checkpoints: int = option(3, "how many of the last checkpoints to keep")
    validation_steps: int = option(2000, "steps between validations; 0 for the end only")
    panel_images: int = option(4, "images in the picture of a validation")
    logging_steps: int = option(10, "steps between log entries")
    trackers: list[str] = option(["tensorboard"], "trackers of Accelerate by name; 'none' for none")
    deterministic: bool = option(False, "ask torch for deterministic algorithms")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        require_positive(
            {
                "checkpoint_steps": self.checkpoint_steps,
                "keep_checkpoints": self.keep_checkpoints,
                "logging_steps": self.logging_steps,
            }
        )
        require_not_negative(
            {"seed": self.seed, "validation_steps": self.validation_steps, "panel_images": self.panel_images}
        )


SECTIONS = (ModelSettings, DataSettings, MethodSettings, OptimizerSettings, RunSettings)
# What a run may change when it is taken up again, beside its bookkeeping.
SAME_RESULT = frozenset({"num_workers", "gradient_checkpointing", "compile", "encoder", "segmenter"})


def bookkeeping(run: type[RunSettings]) -> frozenset[str]:
    """The keys of a section that do not change the result of a run."""
    return frozenset(field.name for field in dataclasses.fields(run)) - {"seed", "deterministic"}


@dataclass
class Recipe(SectionedRecipe):
    """All settings of a run, by section."""

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = (
        bookkeeping(RunSettings)
        | SAME_RESULT
        | {"labelled_dir", "unlabelled_dir", "validation_split", "validation_count", "mean_excludes"}
    )

    model: ModelSettings
    data: DataSettings
    method: MethodSettings
    optimizer: OptimizerSettings
    run: RunSettings

    @classmethod
    def make(cls, **settings: Any) -> "Recipe":
        """The defaults with some keys set, all sections alike.

        Raises:
            ValueError: for an unknown key or a value that does not fit.
        """
        return parse_recipe(settings_to_arguments(settings, SECTIONS, "the settings"))


def read_recipe(arguments: Sequence[str] | None = None, description: str | None = None) -> Recipe:
    """The recipe of a command line: `[recipe.yaml] [--key value ...]`.

    Args:
        arguments: of the command line; `sys.argv[1:]` by default.
        description: for `--help`.

    Raises:
        ValueError: for unknown keys, values of the wrong type and settings that contradict each other.
        FileNotFoundError: if there is no such file.
    """
    path, arguments = split_file(sys.argv[1:] if arguments is None else arguments)
    from_file = settings_to_arguments(read_settings(path), SECTIONS, str(path)) if path else []
    return parse_recipe([*from_file, *arguments], description)


def parse_recipe(arguments: Sequence[str], description: str | None = None) -> Recipe:
    """The recipe of `--key value` arguments; a later one goes before an earlier one."""
    recipe = Recipe(*parse_sections(SECTIONS, arguments, description))
    check_recipe(recipe)
    return recipe


def check_recipe(recipe: Recipe) -> None:
    """Raise a ValueError for settings that cannot work."""
    data, optimizer = recipe.data, recipe.optimizer
    if recipe.method.method not in method_names():
        raise ValueError(f"unknown method {recipe.method.method!r}; known methods: {', '.join(method_names())}")
    require_positive(
        {
            "total_steps": optimizer.total_steps,
            "labelled_batch_size": optimizer.labelled_batch_size,
            "unlabelled_batch_size": optimizer.unlabelled_batch_size,
            "gradient_accumulation": optimizer.gradient_accumulation,
            "labelled_count": data.labelled_count,
            "validation_count": data.validation_count,
        }
    )
    data.check()
    recipe.run.check()
    if recipe.model.encoder and recipe.model.segmenter:
        raise ValueError("give encoder or segmenter, not both: a segmenter brings its encoder")
    if data.unlabelled_dataset == "rest" and data.labelled_count is None:
        raise ValueError("unlabelled_dataset: rest needs labelled_count, which says what it is the rest of")
    alone = optimizer.unlabelled_batch_size == 1 and recipe.method.cutmix_partner == "same_batch"
    if alone and recipe.method.method != "supervised":
        raise ValueError(
            "cutmix_partner: same_batch needs an unlabelled_batch_size of at least 2, got 1; use second_batch"
        )


__all__ = [
    "AdamWSettings",
    "DataSettings",
    "EncoderSettings",
    "MethodSettings",
    "ModelSettings",
    "OptimizerSettings",
    "Recipe",
    "RunSettings",
    "ViewSettings",
    "differing_keys",
    "read_recipe",
]
