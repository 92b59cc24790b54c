"""What a file in the official layout says about a model, what must be told beside it, and what it cannot hold."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from ..modeling import S5ViTConfig
from ..modeling.configuration_s5_vit import VIT_SIZES

# These change training alone: without them a model computes the same outputs.
TRAINING_SETTINGS = frozenset(
    (
        *("attention_dropout", "drop_path_rate", "initializer_range", "classifier_dropout", "ignore_index"),
        *("rpn_positive_iou", "rpn_negative_iou", "rpn_minimum_positive_iou", "rpn_samples"),
        *("rpn_positive_fraction", "rpn_smooth_l1_beta"),
        *("roi_positive_iou", "roi_samples", "roi_positive_fraction", "roi_smooth_l1_beta"),
        *(
            "roi_moved_copies",
            "roi_copies_angle",
            "head_initial_factor",
            "rpn_regression_weight",
            "roi_regression_weight",
        ),
        *("topology_dropout", "resampling_radius"),
    )
)
# SAM-Road++ keeps these in a file of settings beside its checkpoint: they choose among outputs.
READERS_CHOICE = frozenset(
    (
        *("keypoint_threshold", "road_threshold", "topology_threshold", "keypoint_spacing", "road_spacing"),
        *("neighbor_radius", "max_neighbors"),
    )
)
# Names of tasks and labels are the reader's to give; `out_features` are `out_indices` in words.
OTHERWISE_KNOWN = frozenset(("self", "kwargs", "tasks", "backbone_config", "out_features"))


@dataclass(frozen=True)
class Told:
    """What no tensor of a checkpoint shows and a reader may be told.

    Args:
        num_attention_heads: heads of the attention; by default those of the published ViT of this width.
        taps: blocks whose outputs make the feature pyramid, counted from 1 (0 is the stem); by default the published
            ones of this depth, else the ends of the four quarters.
    """

    num_attention_heads: int | None = None
    taps: Sequence[int] | None = None

    def for_way_back(self, vit: S5ViTConfig) -> "Told":
        """What a reader of a ViT of this width has to be told at least: the heads, where no published ViT has it."""
        known = any(size["hidden_size"] == vit.hidden_size for size in VIT_SIZES.values())
        return (
            self if known or self.num_attention_heads else replace(self, num_attention_heads=vit.num_attention_heads)
        )


def require_same_outputs(config: PretrainedConfig, read_back: PretrainedConfig, source: str | Path) -> None:
    """Raise a ValueError that names the settings which a file in the official layout would lose.

    Args:
        config: of the model that is to be written.
        read_back: the configuration that a reader of the file would arrive at.
        source: what the message calls the model.
    """
    lost = lost_settings(config, read_back)
    if hasattr(config, "backbone_config"):
        lost |= lost_settings(config.backbone_config, read_back.backbone_config)
    if not lost:
        return
    listed = "; ".join(f"{name} is {own!r} and would be read as {read!r}" for name, (own, read) in lost.items())
    told = {"out_indices": "taps", "num_attention_heads": "num_attention_heads"}
    can_be_told = [told[name] for name in lost if name in told]
    hint = (
        f". Give {' and '.join(can_be_told)} here, as in the model, if every reader of the file will be told them"
        if len(can_be_told) == len(lost)
        else ""
    )
    raise ValueError(f"{source}: the official layout has no place for what differs from the release: {listed}{hint}")


def lost_settings(config: PretrainedConfig, read_back: PretrainedConfig) -> dict[str, tuple[Any, Any]]:
    """The settings that change outputs and differ: the model's value and the reader's."""
    own, read = settings_of(config), settings_of(read_back)
    return {name: (own[name], read[name]) for name in own if own[name] != read[name]}


def settings_of(config: PretrainedConfig) -> Mapping[str, Any]:
    """The settings of one configuration that change outputs."""
    names = (
        set(inspect.signature(type(config).__init__).parameters) - TRAINING_SETTINGS - READERS_CHOICE - OTHERWISE_KNOWN
    )
    if not getattr(config, "num_experts", 1):
        names.discard("expert_channels")
    return {name: getattr(config, name) for name in sorted(names)}
