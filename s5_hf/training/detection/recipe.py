# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes of fine-tuning for oriented detection: the settings of a run, and those of each of its datasets.

    mode: moe
    encoder: s5-vit-b
    datasets:
      - {name: dior, dataset: s5-dior-r, data_dir: data/DIOR-R, train_split: trainval}
      - {name: ships, dataset: s5-oriented, data_dir: my-ships, classes: [ship, boat]}

The defaults are the published ones.
"""

# Settings look alike because they are lists of keys; what is shared is in recipe_sections.py.

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from ...semi_supervised import DETECTION_METHODS, DetectionMethod, make_detection_method
from ..joint.recipe import (
    DatasetSettings,
    JointDataSettings,
    JointModelSettings,
    JointOptimizerSettings,
    JointRecipe,
    JointRunSettings,
)
from ..recipe_reading import option, require_not_negative, require_positive
from ..recipe_sections import ImageSettings

OWN_IMAGES = "s5-images"
PADDED_TO = 32
"""Sides of views are multiples of this: the coarsest map of the backbone has this stride."""


@dataclass
class DetectionDatasetSettings(DatasetSettings):
    """One dataset with oriented boxes."""

    config: str | None = option(None, "its configuration, such as v1.0 of s5-dota")
    ignored_classes: list[str] = option([], "class names whose objects are left out (s5-oriented)")
    image_scale: float | None = option(None, "as in the recipe, for this dataset; default: that of the recipe")
    least_side: float = option(1.0, "shorter sides of boxes, in pixels of the file, are taken as this long")
    least_hull_side: float = option(
        0.0, "boxes whose horizontal hull is narrower, in pixels of the view, are left out (officially 2 for DOTA)"
    )
    drop_empty: bool = option(False, "leave out training images without objects (officially for DOTA)")
    labelled_count: int | None = option(None, "learn from only this many labelled images, which the seed chooses")
    labelled_list: str | None = option(None, "text file with the ids of the labelled images to use, one a line")
    unlabelled_dataset: str = option(
        OWN_IMAGES,
        "images without labels, for a method: name of their dataset, by default any folder of images, unlabelled_dir; "
        "or 'rest': what labelled_count leaves out",
    )
    unlabelled_dir: str | None = option(None, "its data_dir, or the folder of images; null for no such images")
    unlabelled_split: str = option("train", "its split")

    @property
    def has_unlabelled(self) -> bool:
        """Whether there are images without labels."""
        return self.unlabelled_dataset != OWN_IMAGES or self.unlabelled_dir is not None


@dataclass
class DetectionModelSettings(JointModelSettings):
    """The detector."""

    STARTS: ClassVar[tuple[str, ...]] = ("encoder", "segmenter", "detector")

    detector: str | None = option(None, "folder or name of a whole detector to start from")
    fpn_channels: int = option(256, "width of the feature pyramid and of the region proposal network")
    fpn_norm_groups: int = option(0, "groups of group norms in the feature pyramid; 0 for none, as officially")
    roi_channels: int = option(1024, "width of the two hidden layers of the RoI head")
    anchor_scale: float = option(8.0, "side of a square anchor in strides of its level (4, 8, 16, 32, 64)")
    finest_scale: float = option(56.0, "RoIs of less than twice this size are pooled at stride 4")
    rpn_positive_iou: float = option(0.7, "anchors that overlap an object's hull by this learn to find it")
    proposal_nms_iou: float = option(0.8, "of proposals of a level that overlap more, the better one stays")
    roi_positive_iou: float = option(0.5, "proposals that overlap an object by this learn to refine it")
    rpn_samples: int = option(256, "anchors per image in the loss")
    roi_samples: int = option(512, "proposals per image in the loss")
    roi_moved_copies: int = option(0, "copies of every box, moved at random, that join the proposals in training")
    roi_copies_angle: float = option(0.3, "standard deviation of the angle by which copies are turned, radians")
    proposal_form: Literal["oriented", "horizontal"] = option(
        "oriented", "horizontal: proposals are upright, as in Faster R-CNN, and the RoI head finds the angle"
    )
    roi_delta_stds: list[float] = option(
        [0.1, 0.1, 0.2, 0.2, 0.1], "divisors of the RoI head's regression targets (x, y, width, height, angle)"
    )
    roi_passes: int = option(1, "how often boxes are refined, one after the other, when the detector predicts")
    head_initial_factor: float = option(1.0, "factor of the standard deviations of the heads' new weights")
    rpn_regression_weight: float = option(1.0, "weight of the proposals' regression loss")
    roi_regression_weight: float = option(1.0, "weight of the regression loss of what becomes of them")
    proposals_per_level: int = option(2000, "best-scored anchors of a level that become candidates")
    max_proposals: int = option(2000, "proposals per image")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        super().check()
        counts = set(HEAD_KEYS) - set(MAY_BE_ZERO) - set(SHARES)
        require_positive({key: getattr(self, key) for key in HEAD_KEYS if key in counts})
        require_not_negative({key: getattr(self, key) for key in MAY_BE_ZERO})
        for key, low in SHARES.items():
            if not low <= getattr(self, key) <= 1:
                raise ValueError(f"{key} must lie between {low} and 1, got {getattr(self, key)}")

    def head_settings(self) -> dict[str, float]:
        """What goes into [`S5DetectionConfig`] for new necks and heads."""
        return {key: getattr(self, key) for key in (*HEAD_KEYS, "proposal_form", "roi_delta_stds")}


HEAD_KEYS = (
    *("fpn_channels", "roi_channels", "anchor_scale", "finest_scale", "rpn_samples", "roi_samples"),
    *("proposals_per_level", "max_proposals", "rpn_positive_iou"),
    *("roi_moved_copies", "roi_copies_angle", "rpn_regression_weight", "roi_regression_weight"),
    *("fpn_norm_groups", "proposal_nms_iou", "roi_positive_iou", "head_initial_factor", "roi_passes"),
)
MAY_BE_ZERO = (
    *("fpn_norm_groups", "roi_moved_copies", "roi_copies_angle"),
    *("rpn_regression_weight", "roi_regression_weight", "head_initial_factor"),
)
SHARES = {"rpn_positive_iou": 0.3, "roi_positive_iou": 0, "proposal_nms_iou": 0}
"""Keys that are at most 1, and the least that each may be."""


@dataclass
class DetectionDataSettings(JointDataSettings, ImageSettings):
    """The views of all datasets."""

    batch_size: int = option(2, "images of each dataset per process and micro-step")
    unlabelled_batch_size: int = option(2, "unlabelled images of each dataset per process and micro-step")
    image_size: int = option(1024, "side of the views in pixels, a multiple of 32")
    image_scale: float | None = option(
        None, "factor by which images are resized, in validation too; default: their longer side becomes image_size"
    )
    scale_range: list[float] = option([1.0, 1.0], "range of a random factor on top of it")
    object_crop_probability: float = option(0.0, "of a crop that shows the centre of a random object")
    flip_probability: float = option(0.5, "of each of the two flips")
    quarter_turn_probability: float = option(0.0, "of a turn by 90, 180 or 270 degrees")
    rotation_probability: float = option(0.0, "of a turn by any angle")
    rotation_degrees: float = option(180.0, "largest angle of such a turn, either way")
    least_visible_share: float = option(0.7, "boxes of which a crop leaves less are left out")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        super().check()
        require_positive({"unlabelled_batch_size": self.unlabelled_batch_size})
        if self.image_size < PADDED_TO or self.image_size % PADDED_TO:
            raise ValueError(f"image_size must be a multiple of {PADDED_TO}, got {self.image_size}")
        if self.image_scale is not None and not self.image_scale > 0:
            raise ValueError(f"image_scale must be above 0, got {self.image_scale}")
        for key in (
            "object_crop_probability",
            "flip_probability",
            "quarter_turn_probability",
            "rotation_probability",
            "least_visible_share",
        ):
            if not 0 <= getattr(self, key) <= 1:
                raise ValueError(f"{key} must lie between 0 and 1, got {getattr(self, key)}")


@dataclass
class DetectionMethodSettings:
    """Learning from images without labels."""

    method: str | None = option(
        None, "semi-supervised method: agreeing_views or another registered one; null for labelled images only"
    )
    confidence_threshold: float = option(0.7, "score from which on an object becomes a pseudo-box")
    agreement_threshold: float = option(0.5, "rotated IoU of its boxes in two views from which on it does")
    ignore_threshold: float = option(0.2, "score from which on what becomes no pseudo-box is no background either")
    unlabelled_from_step: int = option(0, "steps of a supervised phase, in which unlabelled images are not read")
    unlabelled_weight: float = option(1.0, "weight of the unlabelled loss")
    unlabelled_ramp_steps: int = option(0, "steps from unlabelled_from_step on in which that weight grows from 0")
    teacher_decay: float = option(0.996, "decay of the averaged teacher")

    def make(self) -> DetectionMethod | None:
        """The method, with those of the options that it has; `None` where the recipe names none.

        Raises:
            ValueError: if it is unknown, or an option is out of range.
        """
        if self.method is None:
            return None
        known = DETECTION_METHODS.get(self.method)
        names = [field.name for field in dataclasses.fields(known) if field.init] if known else []
        own = {field.name for field in dataclasses.fields(self)}
        return make_detection_method(self.method, **{name: getattr(self, name) for name in names if name in own})


@dataclass
class DetectionOptimizerSettings(JointOptimizerSettings):
    """Epochs and AdamW."""

    epochs: int = option(12, "epochs; one takes the longest dataset once, or total_steps / epochs steps")
    learning_rate: float = option(1e-4, "highest learning rate")
    schedule: Literal["step", "cosine", "poly", "constant"] = option("step", "course of the learning rate")
    milestones: list[float] = option([8, 11], "epochs, counted from 0, at whose beginning the schedule 'step' falls")
    milestone_factor: float = option(0.1, "factor of the learning rate at each of them")
    warmup_steps: int = option(500, "steps of linear warm-up")
    warmup_start: float = option(0.001, "factor of the learning rate at the first of them")
    gradient_clip: float | None = option(35.0, "largest gradient norm; null for none")
    sync_batch_norm: bool = option(False, "share batch statistics between GPU processes (the ViT has no batch norm)")


@dataclass
class DetectionRunSettings(JointRunSettings):
    """Bookkeeping, and which checkpoints are called best."""

    output_dir: str = option("runs/detection", "folder of the run")


@dataclass
class DetectionRecipe(JointRecipe):
    """All settings of a run, by section, and its datasets in the order of the experts."""

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = JointRecipe.FREE_TO_CHANGE | {"detector", "unlabelled_dir"}
    DATASET: ClassVar[type[DatasetSettings]] = DetectionDatasetSettings

    model: DetectionModelSettings
    data: DetectionDataSettings
    optimizer: DetectionOptimizerSettings
    run: DetectionRunSettings
    method: DetectionMethodSettings = dataclasses.field(default_factory=DetectionMethodSettings)

    def image_scale_of(self, name: str) -> float | None:
        """The factor by which the images of a dataset are resized, `None` to fit them into the view."""
        (own,) = (settings.image_scale for settings in self.datasets if settings.name == name)
        return self.data.image_scale if own is None else own

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        super().check()
        if not 0 <= self.optimizer.warmup_start <= 1:
            raise ValueError(f"warmup_start must lie between 0 and 1, got {self.optimizer.warmup_start}")
        if self.method.method is not None:
            self.check_method()

    def check_method(self) -> None:
        """Raise a ValueError for a method that cannot work, or has nothing to learn from."""
        self.method.make()
        phase, total = self.method.unlabelled_from_step, self.optimizer.total_steps
        if total is not None and phase >= total:
            raise ValueError(
                f"unlabelled_from_step is {phase}, but the run ends after {total} steps: no unlabelled image would be "
                "read"
            )
        if not any(settings.has_unlabelled for settings in self.datasets):
            raise ValueError(
                f"method {self.method.method} learns from images without labels, and no dataset has any: name a "
                f"folder with --{self.datasets[0].name}.unlabelled-dir, or give --{self.datasets[0].name}."
                "unlabelled-dataset rest and a labelled-count"
            )

    def check_dataset(self, settings: DetectionDatasetSettings) -> None:
        """Raise a ValueError for settings of a dataset that cannot work."""
        super().check_dataset(settings)
        if settings.image_scale is not None and settings.image_scale <= 0:
            raise ValueError(f"{settings.name}.image_scale must be above 0, got {settings.image_scale}")
        if settings.least_side <= 0:
            raise ValueError(f"{settings.name}.least_side must be above 0, got {settings.least_side}")
        require_positive({f"{settings.name}.labelled_count": settings.labelled_count})
        chooses = settings.labelled_count is not None or settings.labelled_list is not None
        if settings.unlabelled_dataset == "rest" and not chooses:
            raise ValueError(
                f"{settings.name}.unlabelled_dataset: rest needs labelled_count or labelled_list, which says what it "
                "is the rest of"
            )
