# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes: typed settings of a pre-training run, from a YAML file and the command line.

A YAML file holds flat keys, the fields of the classes below. `--key value` on the command line goes before the file.
Unknown keys and values of the wrong type are refused.
"""

# Settings look alike because they are lists of keys; what is shared is in recipe_sections.py.

from dataclasses import dataclass
from typing import ClassVar, Literal

from ...semi_supervised import METHODS, method_names
from ..recipe_reading import SectionedRecipe, option, require_not_negative, require_positive
from ..recipe_sections import (
    SAME_RESULT,
    AdapterSettings,
    BackboneAdamWSettings,
    ModelSettings,
    SelectingRunSettings,
    ViewSettings,
    bookkeeping,
)


@dataclass
class PretrainingModelSettings(ModelSettings, AdapterSettings):
    """The network."""

    decoder: Literal["upernet", "dpt", "segformer"] = option(
        "upernet", "decoder; dpt is for a ViT without a feature pyramid"
    )
    image_fit: Literal["pad", "resize"] = option(
        "pad", "what is done with images whose sides are no multiples of the patch: padded, or resized to the nearest"
    )
    dinov2_positions: Literal["release", "transformers"] = option(
        "release", "rule by which a DINOv2 encoder resizes its position embeddings: its own, or that of transformers"
    )


@dataclass
class DataSettings(ViewSettings):
    """Labelled, unlabelled and validation images."""

    labelled_dataset: str = option("s5-isaid", "name of the labelled dataset for load_dataset")
    labelled_dir: str | None = option(None, "its data_dir")
    labelled_split: str = option("train", "its split")
    labelled_count: int | None = option(
        None, "use only this many labelled images; 0 for method open_vocabulary, which needs none"
    )
    labelled_choice: Literal["random", "covering", "balanced", "curated"] = option(
        "random",
        "which: chosen by the seed, so that they show every class, so that every class has least_share of their "
        "pixels, or the first ones of a curation (labelled_list is its folder `selection`)",
    )
    least_share: float = option(0.2, "of every class in the pixels of a balanced choice")
    labelled_list: str | None = option(None, "text file with the ids of the labelled images to use, one a line")
    unlabelled_dataset: str = option(
        "s5-images",
        "name of the unlabelled dataset; by default any folder of images, unlabelled_dir; or 'rest': what "
        "labelled_count leaves out of the labelled one",
    )
    unlabelled_dir: str | None = option(None, "its data_dir, or the folder of images")
    unlabelled_split: str = option("train", "its split")
    strong_labelled_views: bool = option(False, "change the colours of labelled images too, as in the strong views")
    validation_split: str | None = option(
        "val", "split of the labelled dataset for validation; held_out for a share of the training images; none"
    )
    held_out_share: float = option(0.1, "share of the training images that held_out sets aside")
    validation_count: int | None = option(None, "validate on the first images only")
    classes: list[str] = option(
        [],
        "class names in the order of their ids, where the dataset does not know them; for open_vocabulary with "
        "synonyms, such as building,roof",
    )
    mean_excludes: list[str] = option([], "classes left out of mIoU, such as iSAID's background")
    ignore_index: int = option(255, "mask value without a class")
    rotation_probability: float = option(0.0, "probability of a rotation of an image by 90 degrees")
    vertical_flips: bool = option(True, "flip images top to bottom too")
    streaming: bool = option(False, "stream the datasets instead of indexing them")


@dataclass
class MethodSettings:
    """The semi-supervised method."""

    method: str = option(
        "fixmatch", "supervised, fixmatch, unimatch_v2, rs_mtdf, dwl, open_vocabulary or another registered method"
    )
    confidence_threshold: float = option(0.95, "probability from which on a pseudo-label counts")
    unlabelled_from_step: int = option(0, "steps of a supervised phase, in which unlabelled images are not read")
    teacher: Literal["student", "ema"] | None = option(
        None, "who labels: the student, or the moving average of its weights (ema); default: as the method publishes"
    )
    teacher_decay: float = option(0.996, "decay of the averaged teacher")
    teacher_schedule: Literal["constant", "late", "warmup"] | None = option(
        None,
        "its decay is constant from the first step on (constant) or from unlabelled_from_step on (late), or there at "
        "first that of the plain mean, which forgets a warm start (warmup); default: warmup for UniMatch V2, else "
        "constant",
    )
    channel_dropout: bool = option(True, "complementary channel dropout of UniMatch V2")
    ohem_threshold: float | None = option(
        None, "UniMatch V2 learns from labelled pixels whose class is at most so likely; null for all"
    )
    ohem_min_kept: int = option(200_000, "labelled pixels that count at least, with ohem_threshold")
    frozen_teachers: list[str] = option(
        [],
        "names or folders, with @side for a side of their own: the vision transformers that RS-MTDF learns from, or "
        "the one model that labels by names, such as segearth-ov",
    )
    translator_channels: int = option(1024, "width inside the translators of RS-MTDF")
    threshold: Literal["fixed", "adaptive", "rank"] = option(
        "fixed",
        "one confidence_threshold for all classes; adaptive: a lower one for classes that are learnt more slowly; "
        "rank: none, every pixel counts by the rank of its confidence within its class, as in DWL",
    )
    threshold_floor: float = option(0.5, "lowest adaptive threshold")
    unlabelled_weight: float = option(1.0, "weight of the unlabelled loss")
    unlabelled_ramp_steps: int = option(0, "steps from unlabelled_from_step on in which that weight grows from 0")
    mixing_steps: int | None = option(None, "steps of an epoch of DWL, after each of which its classifiers are mixed")
    weights_from_step: int = option(
        51, "first step in which DWL learns from pseudo-labels; it fills its memory before"
    )
    mixing_share: float = option(1.0, "share of DWL's pseudo classifier in the mixture")
    cutmix_partner: Literal["same_batch", "reversed_batch", "second_batch"] = option(
        "same_batch",
        "where CutMix pastes from: the neighbour, the batch in reverse order (UniMatch V2 as published), or "
        "second_batch, the official way of S4P, which takes another forward pass",
    )
    cutmix_probability: float = option(0.5, "probability of CutMix for an image")


@dataclass
class OptimizerSettings(BackboneAdamWSettings):
    """Steps, batches and AdamW."""

    total_steps: int = option(120_000, "optimizer steps")
    labelled_batch_size: int = option(12, "labelled images per process and micro-step")
    unlabelled_batch_size: int = option(12, "unlabelled images per process and micro-step")
    decay_everything: bool = option(False, "weight decay of norms and positions too")
    schedule_delay: int = option(
        0, "steps by which the schedule lags; 1 where the published code sets it after a step"
    )
    schedule_period: int = option(1, "steps between changes of the learning rate, such as those of an epoch")
    supervised_schedule: Literal["joint", "constant", "separate"] = option(
        "joint",
        "learning rate of the supervised phase: a part of the one schedule; or constant, or a whole schedule, after "
        "either of which warm-up and schedule begin anew",
    )
    unlabelled_rate: float = option(1.0, "learning rate from unlabelled_from_step on, over that before")
    encoder_rate: float = option(1.0, "learning rate of the encoder over that of the decoder; 0 freezes the encoder")
    weight_average_decay: float | None = option(None, "decay of an average of the weights; null for none")


@dataclass
class PretrainingRunSettings(SelectingRunSettings):
    """Bookkeeping, and which weights are validated."""

    validate_on: Literal["averaged", "student"] = option(
        "averaged", "validate averaged weights where there are some (weight_average_decay, teacher), or the student"
    )


@dataclass
class PretrainingRecipe(SectionedRecipe):
    """All settings of a run, by section."""

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = (
        bookkeeping(PretrainingRunSettings)
        | SAME_RESULT
        | {"labelled_dir", "unlabelled_dir", "validation_split", "validation_count", "mean_excludes"}
    )

    model: PretrainingModelSettings
    data: DataSettings
    method: MethodSettings
    optimizer: OptimizerSettings
    run: PretrainingRunSettings

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        data, optimizer = self.data, self.optimizer
        if self.method.method not in method_names():
            raise ValueError(f"unknown method {self.method.method!r}; known methods: {', '.join(method_names())}")
        require_positive(
            {
                "total_steps": optimizer.total_steps,
                "labelled_batch_size": optimizer.labelled_batch_size,
                "unlabelled_batch_size": optimizer.unlabelled_batch_size,
                "gradient_accumulation": optimizer.gradient_accumulation,
                "schedule_period": optimizer.schedule_period,
                "labelled_count": data.labelled_count or None,  # 0 is a matter of the method
                "validation_count": data.validation_count,
            }
        )
        require_not_negative({"schedule_delay": optimizer.schedule_delay})
        data.check()
        self.model.check_adapters()
        self.run.check()
        if self.model.lora_rank and optimizer.encoder_rate == 0:
            raise ValueError("encoder_rate: 0 freezes the encoder, in which lora_rank puts adapters: give one of them")
        self.model.settle_encoder()
        if self.model.encoder and self.model.segmenter:
            raise ValueError("give encoder or segmenter, not both: a segmenter brings its encoder")
        if self.model.backbone and (self.model.encoder or self.model.segmenter):
            raise ValueError("backbone describes new weights: give it, or encoder or segmenter, not both")
        self.check_labelled()
        self.check_phases()
        alone = optimizer.unlabelled_batch_size == 1 and self.method.cutmix_partner != "second_batch"
        if alone and METHODS[self.method.method].pastes:
            raise ValueError(
                f"cutmix_partner: {self.method.cutmix_partner} needs an unlabelled_batch_size of at least 2, got 1; "
                "use second_batch"
            )

    def check_labelled(self) -> None:
        """Raise a ValueError for choices of labelled images that contradict one another, or the method."""
        data, method = self.data, self.method.method
        if data.labelled_count == 0 and METHODS[method].takes_labels:
            raise ValueError(
                f"labelled_count: 0 leaves {method} nothing to learn from; without labels use method: "
                "open_vocabulary, with a model that takes names of classes in frozen_teachers, such as segearth-ov"
            )
        if data.labelled_count != 0 and not METHODS[method].takes_labels:
            raise ValueError(f"{method} learns from no labels: set labelled_count: 0, got {data.labelled_count}")
        if data.labelled_count == 0 and data.validation_split == "held_out":
            raise ValueError(
                "validation_split: held_out sets labelled images of the training aside, and labelled_count: 0 trains "
                "on none: name a split of labelled_dataset, such as train, or none"
            )
        if data.unlabelled_dataset == "rest" and data.labelled_count is None and data.labelled_list is None:
            raise ValueError(
                "unlabelled_dataset: rest needs labelled_count or labelled_list, which says what it is the rest of"
            )
        if data.labelled_choice == "curated" and data.labelled_list is None:
            raise ValueError("labelled_choice: curated needs labelled_list, the folder `selection` of a curation")
        chooses = data.labelled_choice in ("covering", "balanced")
        if chooses and (data.labelled_count is None or data.labelled_list is not None):
            raise ValueError(
                f"labelled_choice: {data.labelled_choice} chooses labelled_count images: give it, and no labelled_list"
            )
        if not 0 <= data.least_share <= 1:
            raise ValueError(f"least_share must lie between 0 and 1, got {data.least_share}")

    def check_phases(self) -> None:
        """Raise a ValueError for a supervised phase and rates that cannot work."""
        optimizer, phase = self.optimizer, self.method.unlabelled_from_step
        require_not_negative(
            {
                "unlabelled_from_step": phase,
                "unlabelled_ramp_steps": self.method.unlabelled_ramp_steps,
                "encoder_rate": optimizer.encoder_rate,
            }
        )
        if phase and phase >= optimizer.total_steps:
            raise ValueError(
                f"unlabelled_from_step is {phase}, but the run ends after {optimizer.total_steps} steps: "
                "no unlabelled image would be read"
            )
        shortest = min(phase, optimizer.total_steps - phase)
        if phase and optimizer.supervised_schedule != "joint" and optimizer.warmup_steps >= shortest:
            raise ValueError(
                f"supervised_schedule: {optimizer.supervised_schedule} has a warm-up in both phases: warmup_steps "
                f"must lie between 0 and {shortest - 1}, got {optimizer.warmup_steps}"
            )
        if optimizer.unlabelled_rate <= 0 or (optimizer.unlabelled_rate != 1 and not phase):
            raise ValueError(
                "unlabelled_rate must be above 0, and 1 without a supervised phase (unlabelled_from_step), "
                f"got {optimizer.unlabelled_rate} and a phase of {phase} steps"
            )
        if self.run.selection == "validation" and self.data.validation_split == "none":
            raise ValueError("selection: validation needs a validation_split, such as held_out")
        if not 0 < self.data.held_out_share < 1:
            raise ValueError(f"held_out_share must lie between 0 and 1, got {self.data.held_out_share}")
