"""Configurations of the S5 segmenter and detector.

Source: S5 (arXiv 2508.12409) and its official release.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import CONFIG_MAPPING, PretrainedConfig

from .configuration_s5_dinov2 import S5Dinov2Config
from .configuration_s5_efficientnet_lite import S5EfficientNetLiteConfig
from .configuration_s5_segformer import S5SegformerConfig
from .configuration_s5_vit import S5ViTConfig, require_whole_numbers
from .tasks import S5TaskConfig, Tasks, labels_by_task

DECODERS = ("upernet", "dpt", "segformer")
PROPOSAL_FORMS = ("oriented", "horizontal")
IMAGE_FITS = ("pad", "resize")


# Channels of the four levels as published, where they are not an eighth, a quarter, a half and all of the width.
PUBLISHED_LEVELS = {1024: [256, 512, 1024, 1024]}


def default_level_channels(hidden_size: int) -> list[int]:
    """Channels of the four levels for tokens of this width, as published for 384, 768 and 1024."""
    return PUBLISHED_LEVELS.get(hidden_size, [max(1, hidden_size // part) for part in (8, 4, 2, 1)])


class S5SegmentationConfig(S5TaskConfig):
    """Configuration of [`S5ForSemanticSegmentation`]: one backbone, one decoder and head per task.

    Args:
        backbone_config: an [`S5ViTConfig`] (default: ViT-B) or the configuration of any `AutoBackbone`, as an object
            or as a dictionary with `model_type`.
        tasks: ordered mapping of a task's name to its labels, such as `{"loveda": ["background", ...]}`. A model
            with one task may give `id2label` or `num_labels` instead, as everywhere in transformers.
        ignore_index: label value that the loss leaves out; one number for all tasks or a mapping by task.
        decoder: `upernet` or `segformer`, for a feature pyramid, or `dpt`, for four maps of one grid (a ViT without a
            pyramid). `segformer` brings a deeper classifier.
        decoder_channels: width of the decoders.
        decoder_level_channels: channels of the four levels inside a `dpt` decoder; as published if left out.
        pool_scales: grid sizes of the pyramid pooling of `upernet`.
        image_fit: what is done with sides that are no multiples of the patch size: `pad` them with zeros, or `resize`
            the image to the nearest multiples and the logits back, as UniMatch V2 evaluates.
        classifier_dropout: probability of dropping a channel before the classifier.
        teachers: frozen teachers whose tokens the network predicts and fuses (RS-MTDF), as `TeacherFusion` takes them.
        initializer_range: standard deviation of new classifier weights.

    Attributes:
        class_maps: for tasks that were trained on other classes than their dataset has, `{"dataset": name, "values":
            {mask value: class id}}`; 255 is the id of what is ignored. In config.json it is part of the task.
    """

    model_type = "s5_segmentation"
    default_task = "segmentation"
    minimum_labels = 2
    keys_to_ignore_at_inference = ["task_losses", "task_logits", "task_rows"]  # noqa: RUF012 - transformers' own form
    sub_configs = {"backbone_config": S5ViTConfig}  # noqa: RUF012 - the attribute's form is transformers' own

    def __init__(
        self,
        backbone_config: PretrainedConfig | dict[str, Any] | None = None,
        tasks: Tasks | None = None,
        ignore_index: int | Mapping[str, int] = 255,
        decoder: str = "upernet",
        decoder_channels: int = 256,
        decoder_level_channels: Sequence[int] | None = None,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        image_fit: str = "pad",
        classifier_dropout: float = 0.1,
        teachers: Sequence[Mapping[str, Any]] = (),
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        self.backbone_config = make_backbone_config(backbone_config)
        self.decoder = require_choice("decoder", decoder, DECODERS)
        self.decoder_channels = decoder_channels
        if decoder == "dpt" and decoder_level_channels is None:
            hidden_size = getattr(self.backbone_config, "hidden_size", None)
            decoder_level_channels = default_level_channels(hidden_size) if isinstance(hidden_size, int) else None
        self.decoder_level_channels = None if decoder_level_channels is None else list(decoder_level_channels)
        self.image_fit = require_choice("image_fit", image_fit, IMAGE_FITS)
        self.pool_scales = list(pool_scales)
        self.classifier_dropout = classifier_dropout
        self.teachers = [dict(teacher) for teacher in teachers]
        self.initializer_range = initializer_range
        self.ignore_index = ignore_index if isinstance(ignore_index, int) else dict(ignore_index)
        self.class_maps: dict[str, dict[str, Any]] = {}
        super().__init__(**kwargs)
        self._start_tasks(tasks)
        require_whole_numbers(self, ("decoder_channels",))

    def ignore_index_of(self, task: str) -> int:
        """The label value that the loss of `task` leaves out."""
        return self.ignore_index if isinstance(self.ignore_index, int) else self.ignore_index.get(task, 255)

    @property
    def task_entries(self) -> list[dict[str, Any]]:
        """The tasks as config.json lists them: `name`, `labels`, `ignore_index` and, if there is one, `class_map`."""
        return [
            {
                "name": name,
                "labels": labels,
                "ignore_index": self.ignore_index_of(name),
                **({"class_map": self.class_maps[name]} if name in self.class_maps else {}),
            }
            for name, labels in self.tasks.items()
        ]

    @task_entries.setter
    def task_entries(self, entries: Sequence[Mapping[str, Any]]) -> None:
        self.tasks = labels_by_task(entries)
        self.ignore_index = {
            entry["name"]: entry.get("ignore_index", self.ignore_index_of(entry["name"])) for entry in entries
        }
        self.class_maps = {entry["name"]: entry["class_map"] for entry in entries if entry.get("class_map")}

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain data; what belongs to a task is in its entry of `tasks`."""
        output = super().to_dict()
        output.pop("ignore_index", None)
        output.pop("class_maps", None)
        return output


class S5DetectionConfig(S5TaskConfig):
    """Configuration of [`S5ForOrientedObjectDetection`]: one backbone, one oriented R-CNN per task.

    The defaults are the published ones (Oriented R-CNN as the S5 release configures it).

    Args:
        backbone_config: an [`S5ViTConfig`] (default: ViT-B) or the configuration of any `AutoBackbone` whose four maps
            have the strides 4, 8, 16 and 32, as an object or as a dictionary with `model_type`.
        tasks: ordered mapping of a task's name to its labels, such as `{"dota": ["plane", ...]}`; background is not
            among them. A model with one task may give `id2label` or `num_labels` instead.
        fpn_channels: width of the feature pyramid network and of the region proposal network.
        fpn_norm_groups: groups of the group norms in the feature pyramid network, a divisor of its width; 0 for none,
            as officially.
        anchor_scale: side of a square anchor in strides of its level.
        anchor_ratios: height divided by width of the anchors of a cell.
        rpn_positive_iou, rpn_negative_iou: IoU from which an anchor is positive, and below which it is negative.
        rpn_minimum_positive_iou: the best anchors of a box are positive from this IoU on.
        rpn_samples, rpn_positive_fraction: sampled anchors per image, and the share that may be positive.
        rpn_delta_stds: divisors of the six regression targets (x, y, width, height, alpha, beta).
        rpn_smooth_l1_beta: where the smooth L1 loss of the proposals turns from square to straight.
        proposals_per_level: best-scored anchors of a level that become candidates.
        proposal_nms_iou: candidates of a level whose horizontal hulls overlap more are suppressed.
        max_proposals: proposals per image.
        proposal_form: `oriented`, as officially, or `horizontal`: the RoI head then gets the horizontal hulls that the
            region proposal network predicts, as in Faster R-CNN, and finds the angle by itself. Such proposals belong
            to the box whose hull overlaps theirs; the touching points are not learned.
        roi_channels: width of the two hidden layers of the RoI head.
        roi_size: cells along each side of a pooled RoI.
        roi_sampling_ratio: samples along each side of a cell.
        roi_width_factor, roi_height_factor: a proposal grows by these before it is pooled.
        finest_scale: RoIs of less than twice this size (square root of the grown area, pixels) are pooled at stride 4,
            of less than four times at stride 8, and so on.
        roi_positive_iou: rotated IoU from which a proposal is positive; all others are negative.
        roi_samples, roi_positive_fraction: sampled proposals per image, and the share that may be positive.
        roi_moved_copies: copies of every box, moved at random, that join the proposals in training. Officially 0; they
            give the RoI head positives that do not fit exactly, long before the proposals get as near.
        roi_copies_angle: standard deviation of the angle by which copies are turned, radians.
        roi_passes: how often the RoI head refines the boxes when it predicts; the scores are the mean over the passes,
            as in Cascade R-CNN. Officially 1; more help where proposals are still far from their objects.
        head_initial_factor: factor of the standard deviations of the heads' new weights; 1 officially intended. Small
            weights let little of the heads' gradients through to a backbone that starts from random weights.
        rpn_regression_weight, roi_regression_weight: of the regression losses in the sum.
        roi_delta_stds: divisors of the five regression targets (x, y, width, height, angle).
        roi_smooth_l1_beta: as `rpn_smooth_l1_beta`.
    """

    model_type = "s5_detection"
    default_task = "detection"
    keys_to_ignore_at_inference = ["task_losses", "loss_parts", "proposals", "proposal_scores"]  # noqa: RUF012
    sub_configs = {"backbone_config": S5ViTConfig}  # noqa: RUF012 - the attribute's form is transformers' own

    def __init__(
        self,
        backbone_config: PretrainedConfig | dict[str, Any] | None = None,
        tasks: Tasks | None = None,
        fpn_channels: int = 256,
        fpn_norm_groups: int = 0,
        anchor_scale: float = 8.0,
        anchor_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        rpn_positive_iou: float = 0.7,
        rpn_negative_iou: float = 0.3,
        rpn_minimum_positive_iou: float = 0.3,
        rpn_samples: int = 256,
        rpn_positive_fraction: float = 0.5,
        rpn_delta_stds: Sequence[float] = (1.0, 1.0, 1.0, 1.0, 0.5, 0.5),
        rpn_smooth_l1_beta: float = 1 / 9,
        proposals_per_level: int = 2000,
        proposal_nms_iou: float = 0.8,
        max_proposals: int = 2000,
        proposal_form: str = "oriented",
        roi_channels: int = 1024,
        roi_size: int = 7,
        roi_sampling_ratio: int = 2,
        roi_width_factor: float = 1.2,
        roi_height_factor: float = 1.4,
        finest_scale: float = 56.0,
        roi_positive_iou: float = 0.5,
        roi_samples: int = 512,
        roi_positive_fraction: float = 0.25,
        roi_moved_copies: int = 0,
        roi_copies_angle: float = 0.3,
        roi_passes: int = 1,
        head_initial_factor: float = 1.0,
        rpn_regression_weight: float = 1.0,
        roi_regression_weight: float = 1.0,
        roi_delta_stds: Sequence[float] = (0.1, 0.1, 0.2, 0.2, 0.1),
        roi_smooth_l1_beta: float = 1.0,
        **kwargs: Any,
    ) -> None:
        # Every argument an attribute of its own, the form in which transformers stores configurations.
        self.backbone_config = make_backbone_config(backbone_config)
        # One assignment an argument, as in every configuration of transformers, which reads both from `__init__`.
        self.fpn_channels = fpn_channels
        self.fpn_norm_groups = fpn_norm_groups
        self.anchor_scale = anchor_scale
        self.anchor_ratios = list(anchor_ratios)
        self.rpn_positive_iou = rpn_positive_iou
        self.rpn_negative_iou = rpn_negative_iou
        self.rpn_minimum_positive_iou = rpn_minimum_positive_iou
        self.rpn_samples = rpn_samples
        self.rpn_positive_fraction = rpn_positive_fraction
        self.rpn_delta_stds = list(rpn_delta_stds)
        self.rpn_smooth_l1_beta = rpn_smooth_l1_beta
        self.proposals_per_level = proposals_per_level
        self.proposal_nms_iou = proposal_nms_iou
        self.max_proposals = max_proposals
        self.proposal_form = require_choice("proposal_form", proposal_form, PROPOSAL_FORMS)
        self.roi_channels = roi_channels
        self.roi_size = roi_size
        self.roi_sampling_ratio = roi_sampling_ratio
        self.roi_width_factor = roi_width_factor
        self.roi_height_factor = roi_height_factor
        self.finest_scale = finest_scale
        self.roi_positive_iou = roi_positive_iou
        self.roi_samples = roi_samples
        self.roi_positive_fraction = roi_positive_fraction
        self.roi_moved_copies = roi_moved_copies
        self.roi_copies_angle = roi_copies_angle
        self.roi_passes = roi_passes
        self.head_initial_factor = head_initial_factor
        self.rpn_regression_weight = rpn_regression_weight
        self.roi_regression_weight = roi_regression_weight
        self.roi_delta_stds = list(roi_delta_stds)
        self.roi_smooth_l1_beta = roi_smooth_l1_beta
        super().__init__(**kwargs)
        self._start_tasks(tasks)
        self._check_lengths()

    def _check_lengths(self) -> None:
        counts = ("fpn_channels", "rpn_samples", "proposals_per_level", "max_proposals", "roi_channels", "roi_samples")
        require_whole_numbers(self, (*counts, "roi_size", "roi_sampling_ratio", "roi_passes"))
        for name, length in (("rpn_delta_stds", 6), ("roi_delta_stds", 5)):
            if len(getattr(self, name)) != length:
                raise ValueError(f"{name} needs {length} numbers, got {getattr(self, name)}")
        if self.roi_moved_copies < 0:
            raise ValueError(f"roi_moved_copies must not be negative, got {self.roi_moved_copies}")
        if self.fpn_norm_groups < 0 or (self.fpn_norm_groups and self.fpn_channels % self.fpn_norm_groups):
            raise ValueError(
                f"fpn_norm_groups must be 0 or divide fpn_channels {self.fpn_channels}, got {self.fpn_norm_groups}"
            )
        if not self.anchor_ratios:
            raise ValueError("anchor_ratios is empty; expected at least one height divided by width")


def require_choice(name: str, value: str, choices: Sequence[str]) -> str:
    """The value, or a ValueError unless it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(choices)}")
    return value


def make_backbone_config(backbone_config: PretrainedConfig | dict[str, Any] | None) -> PretrainedConfig:
    """Turn what a user may give as `backbone_config` into a configuration object.

    Raises:
        ValueError: if a dictionary names no known `model_type`, or it is something else.
    """
    if backbone_config is None:
        return S5ViTConfig()
    if isinstance(backbone_config, PretrainedConfig):
        return backbone_config
    if not isinstance(backbone_config, Mapping):
        raise ValueError(f"backbone_config must be a configuration or a mapping, got {backbone_config!r}")
    settings = dict(backbone_config)
    model_type = settings.pop("model_type", None)
    # Also where they are not registered (code loaded from the Hub).
    for own in (S5ViTConfig, S5Dinov2Config, S5SegformerConfig, S5EfficientNetLiteConfig):
        if model_type == own.model_type:
            return own(**settings)
    if model_type not in CONFIG_MAPPING:
        raise ValueError(f"backbone_config names model_type {model_type!r}, which transformers does not know")
    return CONFIG_MAPPING[model_type](**settings)


__all__ = ["S5DetectionConfig", "S5SegmentationConfig"]
