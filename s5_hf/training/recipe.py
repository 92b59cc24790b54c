# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes: typed settings of a pre-training run, from a YAML file and the command line.

A YAML file holds flat keys, the fields of the classes below. `--key value` on the command line goes before the file.
Unknown keys and values of the wrong type are refused.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import yaml
from transformers import HfArgumentParser

from ..semi_supervised import method_names


def option(default: Any, help: str) -> Any:
    """A field with its default and its line of `--help`."""
    metadata = {"help": help.replace("%", "%%")}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class ModelSettings:
    """The network."""

    model_size: str = option("b", "size of a new S5 ViT: ti, s, b, l or h")
    hidden_size: int | None = option(None, "width of a new ViT of another size than the named ones")
    num_hidden_layers: int | None = option(None, "depth of a new ViT of another size")
    num_attention_heads: int | None = option(None, "heads of a new ViT of another size")
    encoder: str | None = option(None, "folder or name of pre-trained encoder weights, such as those of MAE")
    segmenter: str | None = option(None, "folder or name of a whole segmenter to start from")
    decoder_channels: int = option(256, "width of the UPerNet decoder")
    drop_path_rate: float = option(0.1, "stochastic depth of the last block")
    classifier_dropout: float = option(0.1, "channel dropout before the classifier")
    gradient_checkpointing: bool = option(False, "recompute activations: less memory, more time")
    freeze_batch_norm: bool = option(False, "keep batch norm statistics as they are")


@dataclass
class DataSettings:
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
    num_workers: int = option(4, "processes that decode and crop, for each of the two streams")
    crop_size: int = option(512, "side of the crops in pixels, a multiple of the patch size")
    scale_range: list[float] = option([0.5, 2.0], "range of the random scale")
    image_mean: list[float] = option([0.485, 0.456, 0.406], "mean of each channel, for images in 0..1")
    image_std: list[float] = option([0.229, 0.224, 0.225], "standard deviation of each channel")


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
class OptimizerSettings:
    """Steps, batches and AdamW."""

    total_steps: int = option(120_000, "optimizer steps")
    labelled_batch_size: int = option(12, "labelled images per process and micro-step")
    unlabelled_batch_size: int = option(12, "unlabelled images per process and micro-step")
    gradient_accumulation: int = option(1, "micro-steps per optimizer step")
    learning_rate: float = option(5e-5, "highest learning rate")
    weight_decay: float = option(0.01, "of all parameters but norms and positions")
    beta1: float = option(0.9, "of AdamW")
    beta2: float = option(0.999, "of AdamW")
    layer_decay: float = option(1.0, "learning rate factor per block of the backbone; 1 for none")
    schedule: Literal["cosine", "poly", "constant"] = option("cosine", "course of the learning rate")
    warmup_steps: int = option(0, "steps of linear warm-up")
    gradient_clip: float | None = option(None, "largest gradient norm; null for none")
    weight_average_decay: float | None = option(None, "decay of an average of the weights; null for none")
    mixed_precision: Literal["no", "fp16", "bf16"] = option("no", "precision of both passes")
    compile: bool = option(False, "torch.compile the network")
    sync_batch_norm: bool = option(True, "share batch statistics between GPU processes")


@dataclass
class RunSettings:
    """Seed, output, checkpoints, validation and logging."""

    output_dir: str = option("runs/s4p", "folder of the run")
    seed: int = option(0, "of weights, order and augmentation")
    resume: str | None = option(None, "'auto' to go on with the newest checkpoint if there is one, or its folder")
    checkpoint_steps: int = option(2000, "steps between checkpoints")
    keep_checkpoints: int = option(3, "how many of the last checkpoints to keep")
    validation_steps: int = option(2000, "steps between validations; 0 for the end only")
    panel_images: int = option(4, "images in the picture of a validation")
    logging_steps: int = option(10, "steps between log entries")
    trackers: list[str] = option(["tensorboard"], "trackers of Accelerate by name; 'none' for none")
    deterministic: bool = option(False, "ask torch for deterministic algorithms")


SECTIONS = {
    "model": ModelSettings,
    "data": DataSettings,
    "method": MethodSettings,
    "optimizer": OptimizerSettings,
    "run": RunSettings,
}
# What may change between a run and its continuation without changing its result.
FREE_TO_CHANGE = {field.name for field in dataclasses.fields(RunSettings)} - {"seed", "deterministic"} | {
    "num_workers",
    "labelled_dir",
    "unlabelled_dir",
    "validation_split",
    "validation_count",
    "mean_excludes",
    "gradient_checkpointing",
    "compile",
    "encoder",
    "segmenter",
}


@dataclass
class Recipe:
    """All settings of a run, by section."""

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
        return parse_recipe(settings_to_arguments(settings, "the settings"))

    def to_dict(self) -> dict[str, Any]:
        """All keys, flat, as a YAML file holds them."""
        return {key: value for name in SECTIONS for key, value in dataclasses.asdict(getattr(self, name)).items()}

    def to_yaml(self) -> str:
        """The file that gives this recipe."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


class RecipeParser(HfArgumentParser):
    """Raises a ValueError where argparse would leave the program."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def read_recipe(arguments: Sequence[str] | None = None, description: str | None = None) -> Recipe:
    """The recipe of a command line: `[recipe.yaml] [--key value ...]`.

    Args:
        arguments: of the command line; `sys.argv[1:]` by default.
        description: for `--help`.

    Raises:
        ValueError: for unknown keys, values of the wrong type and settings that contradict each other.
        FileNotFoundError: if there is no such file.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    path = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
    from_file = read_yaml(Path(path)) if path else []
    return parse_recipe([*from_file, *arguments], description)


def read_yaml(path: Path) -> list[str]:
    """The settings of a recipe file as command-line arguments."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe file {path}")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no valid YAML: {error}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} must hold `key: value` lines, got {type(settings).__name__}")
    return settings_to_arguments(settings, str(path))


def settings_to_arguments(settings: dict[str, Any], source: str) -> list[str]:
    """`{"key": value}` as `["--key", "value"]`; a value of `None` stands for the default."""
    known = [field.name for section in SECTIONS.values() for field in dataclasses.fields(section)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(f"{source} has unknown keys: {', '.join(map(str, unknown))}; known keys: {', '.join(known)}")
    arguments = []
    for key, value in settings.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        if value is not None and values:
            arguments += [f"--{key}", *map(str, values)]
    return arguments


def parse_recipe(arguments: Sequence[str], description: str | None = None) -> Recipe:
    """The recipe of `--key value` arguments; a later one goes before an earlier one."""
    parser = RecipeParser(
        list(SECTIONS.values()),
        description=description,
        usage="%(prog)s [recipe.yaml] [--key value ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    recipe = Recipe(*parser.parse_args_into_dataclasses(args=list(arguments), look_for_args_file=False))
    check_recipe(recipe)
    return recipe


def check_recipe(recipe: Recipe) -> None:
    """Raise a ValueError for settings that cannot work."""
    data, optimizer, run = recipe.data, recipe.optimizer, recipe.run
    if recipe.method.method not in method_names():
        raise ValueError(f"unknown method {recipe.method.method!r}; known methods: {', '.join(method_names())}")
    positive = {
        "total_steps": optimizer.total_steps,
        "labelled_batch_size": optimizer.labelled_batch_size,
        "unlabelled_batch_size": optimizer.unlabelled_batch_size,
        "gradient_accumulation": optimizer.gradient_accumulation,
        "crop_size": data.crop_size,
        "checkpoint_steps": run.checkpoint_steps,
        "keep_checkpoints": run.keep_checkpoints,
        "logging_steps": run.logging_steps,
        "labelled_count": data.labelled_count,
        "validation_count": data.validation_count,
    }
    for key, value in positive.items():
        if value is not None and value < 1:
            raise ValueError(f"{key} must be at least 1, got {value}")
    if len(data.scale_range) != 2 or not 0 < data.scale_range[0] <= data.scale_range[1]:
        raise ValueError(f"scale_range must be two positive numbers, the smaller first, got {data.scale_range}")
    if len(data.image_mean) != len(data.image_std):
        raise ValueError(f"image_mean has {len(data.image_mean)} channels, image_std {len(data.image_std)}")
    if recipe.model.encoder and recipe.model.segmenter:
        raise ValueError("give encoder or segmenter, not both: a segmenter brings its encoder")
    if data.unlabelled_dataset == "rest" and data.labelled_count is None:
        raise ValueError("unlabelled_dataset: rest needs labelled_count, which says what it is the rest of")
    alone = optimizer.unlabelled_batch_size == 1 and recipe.method.cutmix_partner == "same_batch"
    if alone and recipe.method.method != "supervised":
        raise ValueError(
            "cutmix_partner: same_batch needs an unlabelled_batch_size of at least 2, got 1; use second_batch"
        )


def differing_keys(saved: dict[str, Any], recipe: Recipe) -> dict[str, tuple[Any, Any]]:
    """Keys whose change would make a resumed run another run, with (saved, present) values."""
    present = recipe.to_dict()
    return {
        key: (saved.get(key), present.get(key))
        for key in [*present, *(key for key in saved if key not in present)]
        if key not in FREE_TO_CHANGE and saved.get(key) != present.get(key)
    }
