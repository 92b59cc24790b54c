"""Configurations read off the tensors of official checkpoints."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch

from ..modeling import S5DetectionConfig, S5SegmentationConfig, S5ViTConfig
from ..modeling.configuration_s5_vit import VIT_SIZES
from .official_layout import OFFICIAL_SPELLING, heads_of
from .official_limits import Told
from .official_tasks import DETECTION_TASKS, detection_task_settings, task_settings

State = Mapping[str, torch.Tensor]


def official_segmentation_config(
    state: State, task: str | None, labels: Sequence[str] | None, told: Told
) -> S5SegmentationConfig:
    """The configuration behind an official segmenter; the scales of the pyramid pooling are taken as published."""
    return S5SegmentationConfig(
        backbone_config=official_vit_config(under(state, "encoder."), told),
        tasks=named_tasks(heads_of(state, "semseghead", ".1.weight"), task, labels, segmentation_settings),
        decoder_channels=require(state, "semsegdecoder.decode_head.fpn_bottleneck.conv.weight").shape[0],
    )


def official_detection_config(
    state: State, task: str | None, labels: Sequence[str] | None, told: Told
) -> S5DetectionConfig:
    """The configuration behind an official detector.

    No tensor shows the scale of the anchors or the sizes at which RoIs change their level: they are taken as
    published.
    """
    heads = heads_of(state, "roi_head", ".bbox_head.fc_cls.weight")
    suffix = "".join(f"_{name}" for name in list(heads)[:1] if name)
    fpn_channels = require(state, f"neck{suffix}.lateral_convs.0.conv.weight").shape[0]
    hidden = require(state, f"roi_head{suffix}.bbox_head.shared_fcs.0.weight")
    return S5DetectionConfig(
        backbone_config=official_vit_config(under(state, "backbone."), told),
        tasks=named_tasks(heads, task, labels, detection_settings),
        fpn_channels=fpn_channels,
        roi_channels=hidden.shape[0],
        roi_size=math.isqrt(hidden.shape[1] // fpn_channels),
    )


def official_vit_config(encoder: State, told: Told) -> S5ViTConfig:
    """The configuration behind an official encoder, read off its shapes."""
    projection = require(encoder, "patch_embed.projection.weight")
    grid = round(require(encoder, "pos_embed").shape[1] ** 0.5)
    num_experts = count_layers(encoder, "layers.0.ffn.experts.")
    return vit_config(
        projection,
        depth=count_layers(encoder, "layers."),
        intermediate_size=require(encoder, "layers.0.ffn.layers.0.0.weight").shape[0],
        image_size=grid * projection.shape[-1],
        told=told,
        num_experts=num_experts,
        **({"expert_channels": encoder["layers.0.ffn.experts.0.weight"].shape[0]} if num_experts else {}),
    )


def vit_config(projection: torch.Tensor, depth: int, told: Told, **settings: int) -> S5ViTConfig:
    """The configuration of a ViT with this patch projection `(hidden, channels, patch, patch)` and depth."""
    hidden_size, num_channels, patch_size, _ = projection.shape
    return S5ViTConfig(
        hidden_size=hidden_size,
        num_channels=num_channels,
        patch_size=patch_size,
        num_hidden_layers=depth,
        num_attention_heads=told.num_attention_heads or known_heads(hidden_size),
        out_indices=None if told.taps is None else checked_taps(told.taps, depth),
        **settings,
    )


def checked_taps(taps: Sequence[int], depth: int) -> list[int]:
    """Taps for the feature pyramid of a ViT of `depth` blocks, or a ValueError."""
    if len(taps) != 4 or list(taps) != sorted(set(taps)) or not 0 <= taps[0] <= taps[-1] <= depth:
        raise ValueError(
            f"taps must be four different blocks in ascending order, between 0 (the stem) and {depth}, "
            f"got {list(taps)}"
        )
    return list(taps)


def known_heads(hidden_size: int) -> int:
    """Attention heads of the published ViT of this width.

    Raises:
        ValueError: if no published ViT has it; no tensor's shape shows the number of heads.
    """
    for size in VIT_SIZES.values():
        if size["hidden_size"] == hidden_size:
            return size["num_attention_heads"]
    raise ValueError(
        f"the encoder is {hidden_size} wide, which is not a known size: give num_attention_heads "
        "(--num-attention-heads), as no tensor shows it"
    )


def named_tasks(
    heads: Mapping[str, int],
    task: str | None,
    labels: Sequence[str] | None,
    settings: Callable[[str | None, int], dict[str, object]],
) -> list[dict[str, object]]:
    """The entries of the tasks of an official checkpoint, in the order of its experts.

    Args:
        heads: as `heads_of` gives them.
        task, labels: what a user says of a single head without a name.
        settings: gives the entry of a task from its official name, or None, and the rows of its head.

    Raises:
        ValueError: if a user names the task of a checkpoint that names its tasks itself, or gives another number of
            labels than it has classes.
    """
    if "" in heads:
        return [with_labels(settings(task, heads[""]), labels)]
    if task or labels:
        raise ValueError(f"the checkpoint names its tasks itself ({', '.join(heads)}): leave out task and labels")
    return [settings(name, rows) for name, rows in heads.items()]


def segmentation_settings(name: str | None, rows: int) -> dict[str, object]:
    """The entry of a segmentation task; a head of 16 classes without a name is that of iSAID."""
    spelling = {official: task for task, official in OFFICIAL_SPELLING.items()}
    return task_settings(spelling.get(name, name) or ("isaid" if rows == 16 else "segmentation"), rows)


def detection_settings(name: str | None, rows: int) -> dict[str, object]:
    """The entry of a detection task, whose last row is background; the number of classes names a head without one."""
    by_count = {len(detection_task_settings(task)["labels"]): task for task in DETECTION_TASKS}
    return detection_task_settings(name or by_count.get(rows - 1, "detection"), rows - 1)


def with_labels(settings: dict[str, object], labels: Sequence[str] | None) -> dict[str, object]:
    """The settings of a task with the labels a user gave, if any, in place of its own; as many as there were."""
    if labels is None:
        return settings
    if len(labels) != len(settings["labels"]):
        raise ValueError(f"got {len(labels)} labels for a checkpoint of {len(settings['labels'])} classes")
    return {**settings, "labels": list(labels)}


def under(state: State, prefix: str) -> State:
    """The tensors under `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def count_layers(state: State, prefix: str) -> int:
    """How many numbered modules lie under `prefix`."""
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})


def require(state: State, name: str) -> torch.Tensor:
    """A tensor that every checkpoint of the layout has, or a ValueError with its name."""
    if name not in state:
        raise ValueError(f"the checkpoint's tensors do not fit; missing: {name}")
    return state[name]
