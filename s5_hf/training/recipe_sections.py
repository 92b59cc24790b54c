# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Settings that the recipes of several kinds of training have in common.

Classes of settings look alike because a recipe is a list of keys, each with a default and a line of help. Keys that
mean the same in several kinds of training are here, those of joint trainings in joint/recipe.py.
"""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ..dataset_builders.options import require_bands
from .recipe_reading import option, require_not_negative, require_positive

if TYPE_CHECKING:
    from ..modeling.value_scaling import ValueScaling


CHECKPOINTING = ("false", "true", "selective")
"""Values of `gradient_checkpointing`."""


@dataclass
class EncoderSettings:
    """The backbone."""

    freeze_batch_norm = False  # without annotation: a key of segmenters only

    model_size: str = option("b", "size of a new S5 ViT: ti, s, b, l or h")
    hidden_size: int | None = option(None, "width of a new ViT of another size than the named ones")
    num_hidden_layers: int | None = option(None, "depth of a new ViT of another size")
    num_attention_heads: int | None = option(None, "heads of a new ViT of another size")
    backbone: list[str] = option(
        [],
        "a new backbone other than the S5 ViT: a model type of transformers, or a folder or name whose configuration "
        "it takes, and settings in place of its own, as in --backbone resnet 'depths:[2,2,2,2]'",
    )
    encoder: str | None = option(
        None, "folder or name of pre-trained encoder weights, such as those of MAE; none for new weights"
    )
    segmenter: str | None = option(None, "folder or name of a whole segmenter to start from")
    drop_path_rate: float = option(0.1, "stochastic depth of the last block")
    gradient_checkpointing: str = dataclasses.field(
        default="false",
        metadata={
            "help": "true recomputes the blocks of the backbone: less memory, more time; selective keeps the results "
            "of matrix products and attention, and recomputes the rest",
            "nargs": "?",  # --gradient_checkpointing alone means true
            "const": "true",
        },
    )
    channel_weights: list[str] | None = option(
        None,
        "how a given network for other channels is adapted: mean, repeat, or for each band a channel of the network "
        "(number from 1, red, green, blue) or mean, as in red green blue mean; default: it is refused",
    )

    def __post_init__(self) -> None:
        self.gradient_checkpointing = str(self.gradient_checkpointing).lower()  # true and false of a file, too
        if self.gradient_checkpointing not in CHECKPOINTING:
            known, given = ", ".join(CHECKPOINTING), self.gradient_checkpointing
            raise ValueError(f"gradient_checkpointing must be one of {known}, got {given!r}")

    def settle_encoder(self) -> None:
        """`encoder: none` takes back what a recipe says; `required` is met by another start.

        Raises:
            ValueError: if a recipe requires an encoder and nothing is given.
        """
        if self.encoder == "required":
            if not (self.segmenter or self.backbone):
                raise ValueError(
                    "this recipe starts from pre-trained weights: give --encoder, a folder or a name (MAE weights as "
                    "published), or --encoder none for new weights"
                )
            self.encoder = None
        elif self.encoder == "none":
            self.encoder = None


@dataclass
class ModelSettings(EncoderSettings):
    """The network."""

    decoder_channels: int = option(256, "width of the decoder")
    classifier_dropout: float = option(0.1, "channel dropout before the classifier")
    freeze_batch_norm: bool = option(False, "keep batch norm statistics as they are")


@dataclass
class AdapterSettings:
    """Low-rank adapters in the encoder."""

    lora_rank: int = option(0, "rank of low-rank adapters in the encoder's shared layers (needs peft); 0 trains all")
    lora_alpha: float = option(16.0, "scale of the adapters, over their rank")
    lora_dropout: float = option(0.0, "dropout before the adapters")

    def check_adapters(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        if self.lora_rank < 0:
            raise ValueError(f"lora_rank must not be negative, got {self.lora_rank}")
        if not 0 <= self.lora_dropout < 1:
            raise ValueError(f"lora_dropout must lie between 0 and 1, got {self.lora_dropout}")


@dataclass
class ImageSettings:
    """How images are read and normalised."""

    num_workers: int = option(4, "processes that decode and crop; pre-training has them for each of its two streams")
    scale_range: list[float] = option([0.5, 2.0], "range of the random scale")
    image_mean: list[float] = option([0.485, 0.456, 0.406], "mean of each channel, for images in 0..1")
    image_std: list[float] = option([0.229, 0.224, 0.225], "standard deviation of each channel")
    bands: list[str] | None = option(
        None,
        "bands of the files that become the channels, by number from 1 or by name; default: those of the network that "
        "the run starts from, or all. Mean and deviation of others than RGB of 8 bits are measured",
    )
    value_range: list[float] | None = option(
        None,
        "range of the values that becomes 0..1: low and high, once or for each band; default, for images of more than "
        "8 bits: the range of the network that the run starts from, or value_percentiles of the training images",
    )
    value_percentiles: list[float] = option([2.0, 98.0], "of each band of the training images: its range")
    nodata: float | None = option(None, "value of pixels that hold no data; default: what each file says")

    @property
    def band_list(self) -> list[int | str] | None:
        """The bands with numbers as such, as builders and image processors take them."""
        if self.bands is None:
            return None
        return [int(band) if str(band).isdigit() else str(band) for band in self.bands]

    @property
    def value_scaling(self) -> "ValueScaling | None":
        """What becomes of the values of images that are not of 8 bits."""
        from ..data.band_statistics import range_scaling

        return None if self.value_range is None else range_scaling(self.value_range, len(self.image_mean))

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        require_not_negative({"num_workers": self.num_workers})
        require_bands("bands", self.band_list or [1])
        low, high = self.value_percentiles if len(self.value_percentiles) == 2 else (0, 0)
        if not 0 <= low < high <= 100:
            raise ValueError(f"value_percentiles must be two rising numbers in 0..100, got {self.value_percentiles}")
        if len(self.scale_range) != 2 or not 0 < self.scale_range[0] <= self.scale_range[1]:
            raise ValueError(f"scale_range must be two positive numbers, the smaller first, got {self.scale_range}")
        if len(self.image_mean) != len(self.image_std):
            raise ValueError(f"image_mean has {len(self.image_mean)} channels, image_std {len(self.image_std)}")


@dataclass
class ViewSettings(ImageSettings):
    """How images become crops."""

    crop_size: int = option(512, "side of the crops in pixels, a multiple of the patch size")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        require_positive({"crop_size": self.crop_size})
        super().check()


@dataclass
class UnlabelledSettings(ViewSettings):
    """Images without labels."""

    dataset: str = option("s5-million-aid", "name of an unlabelled or labelled dataset")
    data_dir: str | None = option(None, "its data_dir")
    split: str = option("train", "its split")
    streaming: bool = option(False, "stream it instead of indexing it")
    classes: list[str] = option([], "of a labelled dataset without known ones")
    crop_size: int = option(224, "side of the crops in pixels, a multiple of the patch size")


@dataclass
class AdamWSettings:
    """AdamW, its schedule and its precision, for any network."""

    layer_decay: ClassVar[float] = 1.0
    encoder_rate: ClassVar[float] = 1.0
    sync_batch_norm: ClassVar[bool] = False
    decay_everything: ClassVar[bool] = False

    gradient_accumulation: int = option(1, "micro-steps per optimizer step")
    learning_rate: float = option(5e-5, "highest learning rate")
    weight_decay: float = option(0.01, "of all parameters but norms and positions")
    beta1: float = option(0.9, "of AdamW")
    beta2: float = option(0.999, "of AdamW")
    schedule: Literal["cosine", "poly", "constant"] = option("cosine", "course of the learning rate")
    warmup_steps: int = option(0, "steps of linear warm-up")
    gradient_clip: float | None = option(None, "largest gradient norm; null for none")
    mixed_precision: Literal["no", "fp16", "bf16", "auto"] = option(
        "no", "precision of both passes; auto: bf16 where the device has it natively, as recipe.yaml then says"
    )
    compile: bool = option(False, "torch.compile the network")


@dataclass
class BackboneAdamWSettings(AdamWSettings):
    """The same for a network with a `backbone` that may have batch norm."""

    layer_decay: float = option(1.0, "learning rate factor per block of the backbone; 1 for none")
    sync_batch_norm: bool = option(True, "share batch statistics between GPU processes")


@dataclass
class RunSettings:
    """Seed, output, checkpoints and logging."""

    output_dir: str = option("runs/s4p", "folder of the run")
    seed: int = option(0, "of weights, order and augmentation")
    resume: str | None = option(
        None,
        "'auto' to resume from the newest checkpoint if there is one, or its folder; 'force' as 'auto', even if files "
        "of the checkpoint or the data have changed",
    )
    checkpoint_steps: int = option(2000, "steps between checkpoints")
    keep_checkpoints: int = option(3, "how many of the last checkpoints to keep")
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
        require_not_negative({"seed": self.seed})


@dataclass
class ValidatedRunSettings(RunSettings):
    """The same, and validation."""

    validation_steps: int = option(2000, "steps between validations; 0 for the end only")
    panel_images: int = option(4, "images in the picture of a validation")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        super().check()
        require_not_negative({"validation_steps": self.validation_steps, "panel_images": self.panel_images})


@dataclass
class SelectingRunSettings(ValidatedRunSettings):
    """The same, and which weights are kept."""

    selection: Literal["last", "validation"] = option(
        "last", "keep the last weights only, or also those with the best validation, under best/mean"
    )


# What a run may change when it is resumed, beside its bookkeeping.
SAME_RESULT = frozenset({"num_workers", "gradient_checkpointing", "compile", "encoder", "segmenter"})


def bookkeeping(run: type[RunSettings]) -> frozenset[str]:
    """The keys of a section that do not change the result of a run."""
    return frozenset(field.name for field in dataclasses.fields(run)) - {"seed", "deterministic"}
