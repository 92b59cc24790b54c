"""Checkpoints to this package's folders, and back to the official layout."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from ..atomic import atomic_file, atomic_folder, require_absent
from ..disk_space import full_disk_in_words, tensor_bytes
from ..modeling import (
    S5DetectionConfig,
    S5ForOrientedObjectDetection,
    S5ForSemanticSegmentation,
    S5ImageProcessor,
    S5SegmentationConfig,
    S5ViTBackbone,
    S5ViTConfig,
)
from ..modeling.configuration_s5 import VIT_SIZES
from ..official_tasks import DETECTION_TASKS, detection_task_settings, task_settings
from .checkpoint_files import read_checkpoint
from .detector_layout import detector_name, detector_tasks_of
from .mae_layout import (
    encoder_from_timm,
    encoder_from_transformers,
    is_timm_mae,
    is_transformers_mae,
    without_class_position,
)
from .official_layout import encoder_name, segmenter_name, tasks_of

State = dict[str, torch.Tensor]

KNOWN_LAYOUTS = "official S5 encoder, segmenter or detector, MAE (facebook/timm), MAE (transformers' ViTMAE)"


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion made: kind of checkpoint, configuration, source tensors left out, tensors made new."""

    kind: str
    config: PretrainedConfig
    left_out: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def convert_checkpoint(
    source: str | Path,
    output: str | Path,
    *,
    task: str | None = None,
    labels: Sequence[str] | None = None,
    num_attention_heads: int | None = None,
    image_size: int = 512,
) -> ConversionReport:
    """Convert an official S5 or a MAE checkpoint to a folder that `from_pretrained` loads.

    Args:
        source: checkpoint file, or a folder of transformers for ViTMAE.
        output: the folder to make; it must not exist.
        task: name of the task of a single-task model (default: `isaid` for a segmenter with 16 classes, else
            `segmentation`; `dior` for a detector with 20 classes, `dota` with 18, else `detection`).
        labels: names of its classes; the official ones where `task` is an official name.
        num_attention_heads: needed only where the width is none of the known sizes, because no tensor shows it.
        image_size: side in pixels for which a MAE encoder gets its position embeddings.

    Raises:
        FileNotFoundError, FileExistsError: if `source` is missing or `output` exists.
        ValueError: if the file is unreadable, of no known layout, or its tensors do not fit; the message names them.
    """
    require_absent(Path(output))
    state = read_checkpoint(source)
    if is_timm_mae(state) or is_transformers_mae(state):
        model, report = model_from_mae(state, num_attention_heads, image_size)
    elif "patch_embed.projection.weight" in state:
        model, report = model_from_encoder(state, num_attention_heads)
    elif "encoder.patch_embed.projection.weight" in state:
        model, report = model_from_segmenter(state, task, labels, num_attention_heads)
    elif "backbone.patch_embed.projection.weight" in state:
        model, report = model_from_detector(state, task, labels, num_attention_heads)
    else:
        raise ValueError(
            f"{source} is of no known layout ({KNOWN_LAYOUTS}); its first tensors: {', '.join(list(state)[:5])}"
        )
    needed = tensor_bytes(model.state_dict())
    with full_disk_in_words(Path(output), needed), atomic_folder(output) as folder:
        model.save_pretrained(folder)
        S5ImageProcessor().save_pretrained(folder)
    return report


def export_official(folder: str | Path, output: str | Path) -> Path:
    """Write a folder of this package as an official `.pth` file; the tensors are equal byte for byte.

    Encoders get bare names, segmenters the prefix `module.`, both under `"model"`; detectors get bare names under
    `"state_dict"`, all as in the release.

    Raises:
        FileExistsError: if `output` exists.
        ValueError: if the folder holds another kind of model.
    """
    output = Path(output)
    require_absent(output)
    config = AutoConfig.from_pretrained(folder)
    on_s5_vit = isinstance(getattr(config, "backbone_config", config), S5ViTConfig)
    if isinstance(config, S5ViTConfig):
        model: PreTrainedModel = S5ViTBackbone.from_pretrained(folder)
        content = {"model": {encoder_name(name): tensor for name, tensor in model.state_dict().items()}}
    elif isinstance(config, S5SegmentationConfig) and on_s5_vit:
        model = S5ForSemanticSegmentation.from_pretrained(folder)
        tasks = list(config.tasks)
        state = {f"module.{segmenter_name(name, tasks)}": tensor for name, tensor in model.state_dict().items()}
        content = {"model": state}
    elif isinstance(config, S5DetectionConfig) and on_s5_vit:
        model = S5ForOrientedObjectDetection.from_pretrained(folder)
        tasks = list(config.tasks)
        state = {detector_name(name, tasks): tensor for name, tensor in model.state_dict().items()}
        content = {"state_dict": state, "meta": {}}
    else:
        raise ValueError(f"{folder} holds a {config.model_type!r} model, which the official layout cannot express")
    with full_disk_in_words(output, tensor_bytes(content)), atomic_file(output) as temporary:
        torch.save(content, temporary)
    return output


def model_from_encoder(state: State, num_attention_heads: int | None) -> tuple[PreTrainedModel, ConversionReport]:
    """The backbone of an official encoder, dense or with experts."""
    config = official_vit_config(state, num_attention_heads)
    model = fill(S5ViTBackbone, config, state, encoder_name)
    return model, ConversionReport("S5 encoder", config)


def model_from_segmenter(
    state: State, task: str | None, labels: Sequence[str] | None, num_attention_heads: int | None
) -> tuple[PreTrainedModel, ConversionReport]:
    """The segmenter of an official S4P, single-dataset, MDF or MoE-MDF checkpoint."""
    encoder = {name.removeprefix("encoder."): tensor for name, tensor in state.items() if name.startswith("encoder.")}
    backbone_config = official_vit_config(encoder, num_attention_heads)
    config = S5SegmentationConfig(
        backbone_config=backbone_config,
        tasks=segmenter_tasks(state, task, labels),
        decoder_channels=require(state, "semsegdecoder.decode_head.fpn_bottleneck.conv.weight").shape[0],
    )
    names = list(config.tasks)
    model = fill(S5ForSemanticSegmentation, config, state, lambda name: segmenter_name(name, names))
    several = "MoE-MDF segmenter" if backbone_config.num_experts else "MDF segmenter"
    return model, ConversionReport(several if len(names) > 1 else "S5 segmenter", config)


def model_from_detector(
    state: State, task: str | None, labels: Sequence[str] | None, num_attention_heads: int | None
) -> tuple[PreTrainedModel, ConversionReport]:
    """The oriented detector of an official checkpoint, of one task or of several.

    No tensor shows the scale of the anchors or the sizes at which RoIs change their level: they are taken as
    published.
    """
    encoder = {
        name.removeprefix("backbone."): tensor for name, tensor in state.items() if name.startswith("backbone.")
    }
    tasks = detector_tasks(state, task, labels)
    suffix = f"_{tasks[0]['name']}" if len(detector_tasks_of(state)) else ""
    fpn_channels = require(state, f"neck{suffix}.lateral_convs.0.conv.weight").shape[0]
    hidden = require(state, f"roi_head{suffix}.bbox_head.shared_fcs.0.weight")
    config = S5DetectionConfig(
        backbone_config=official_vit_config(encoder, num_attention_heads),
        tasks=tasks,
        fpn_channels=fpn_channels,
        roi_channels=hidden.shape[0],
        roi_size=math.isqrt(hidden.shape[1] // fpn_channels),
    )
    names = list(config.tasks)
    model = fill(S5ForOrientedObjectDetection, config, state, lambda name: detector_name(name, names))
    several = "MoE-MDF detector" if config.backbone_config.num_experts else "MDF detector"
    return model, ConversionReport(several if len(names) > 1 else "S5 detector", config)


def model_from_mae(
    state: State, num_attention_heads: int | None, image_size: int
) -> tuple[PreTrainedModel, ConversionReport]:
    """The backbone of a MAE encoder; its pyramid, which MAE does not have, is initialised from a fixed seed."""
    encoder, left_out = (encoder_from_timm if is_timm_mae(state) else encoder_from_transformers)(state)
    projection = require(encoder, "embeddings.projection.weight")
    config = vit_config(
        projection,
        depth=count_layers(encoder, "encoder.layers."),
        intermediate_size=require(encoder, "encoder.layers.0.feed_forward.fc1.weight").shape[0],
        image_size=image_size,
        num_attention_heads=num_attention_heads,
    )
    positions = require(encoder, "embeddings.position_embeddings")
    encoder["embeddings.position_embeddings"] = without_class_position(positions, image_size // config.patch_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = S5ViTBackbone(config).state_dict()
    pyramid = {name: tensor for name, tensor in fresh.items() if name.startswith("feature_pyramid.")}
    model = fill(S5ViTBackbone, config, {**encoder, **pyramid}, lambda name: name)
    return model, ConversionReport("MAE encoder", config, left_out=left_out, new=list(pyramid))


def fill(
    model_class: type[PreTrainedModel], config: PretrainedConfig, state: State, source_name: Callable[[str], str]
) -> PreTrainedModel:
    """A model of `config` with the tensors of `state`, in eval mode.

    Raises:
        ValueError: if tensors are missing, superfluous or of another shape; all are named.
    """
    with torch.device("meta"):
        model = model_class(config)
    expected = {source_name(name): (name, tensor.shape) for name, tensor in model.state_dict().items()}
    check_fit(state, {name: shape for name, (_, shape) in expected.items()})
    model.load_state_dict({name: state[source] for source, (name, _) in expected.items()}, assign=True)
    return model.eval()


def check_fit(state: State, expected: Mapping[str, torch.Size]) -> None:
    """Raise a ValueError that names every tensor that is missing, superfluous or of another shape."""
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    mis_shaped = [
        f"{name}: {tuple(state[name].shape)} instead of {tuple(shape)}"
        for name, shape in expected.items()
        if name in state and state[name].shape != shape
    ]
    problems = [
        f"{title} ({len(names)}): {', '.join(names)}"
        for title, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", mis_shaped))
        if names
    ]
    if problems:
        raise ValueError("the checkpoint's tensors do not fit; " + "; ".join(problems))


def official_vit_config(encoder: State, num_attention_heads: int | None) -> S5ViTConfig:
    """The configuration behind an official encoder, read off its shapes."""
    projection = require(encoder, "patch_embed.projection.weight")
    grid = round(require(encoder, "pos_embed").shape[1] ** 0.5)
    num_experts = count_layers(encoder, "layers.0.ffn.experts.")
    return vit_config(
        projection,
        depth=count_layers(encoder, "layers."),
        intermediate_size=require(encoder, "layers.0.ffn.layers.0.0.weight").shape[0],
        image_size=grid * projection.shape[-1],
        num_attention_heads=num_attention_heads,
        num_experts=num_experts,
        **({"expert_channels": encoder["layers.0.ffn.experts.0.weight"].shape[0]} if num_experts else {}),
    )


def vit_config(projection: torch.Tensor, depth: int, num_attention_heads: int | None, **settings: int) -> S5ViTConfig:
    """The configuration of a ViT with this patch projection `(hidden, channels, patch, patch)` and depth."""
    hidden_size, num_channels, patch_size, _ = projection.shape
    return S5ViTConfig(
        hidden_size=hidden_size,
        num_channels=num_channels,
        patch_size=patch_size,
        num_hidden_layers=depth,
        num_attention_heads=num_attention_heads or known_heads(hidden_size),
        **settings,
    )


def known_heads(hidden_size: int) -> int:
    """Attention heads of the published ViT of this width.

    Raises:
        ValueError: if no published ViT has it; no tensor's shape shows the number of heads.
    """
    for size in VIT_SIZES.values():
        if size["hidden_size"] == hidden_size:
            return size["num_attention_heads"]
    raise ValueError(
        f"the encoder is {hidden_size} wide, which is none of the known sizes: give num_attention_heads "
        "(--num-attention-heads), no tensor shows it"
    )


def segmenter_tasks(state: State, task: str | None, labels: Sequence[str] | None) -> list[dict[str, object]]:
    """Name, labels and ignore index per task of an official segmenter, in the order of its experts."""
    names = tasks_of(state)
    if names:
        refuse_task_options(names, task, labels)
        spelled = [name for name in state if name.startswith("semseghead_") and name.endswith(".1.weight")]
        return [task_settings(name, state[key].shape[0]) for name, key in zip(names, spelled, strict=True)]
    num_labels = require(state, "semseghead.1.weight").shape[0]
    settings = task_settings(task or ("isaid" if num_labels == 16 else "segmentation"), num_labels)
    return [with_labels(settings, labels)]


def detector_tasks(state: State, task: str | None, labels: Sequence[str] | None) -> list[dict[str, object]]:
    """Name and labels per task of an official detector, in the order of its experts."""
    names = detector_tasks_of(state)
    if names:
        refuse_task_options(names, task, labels)
        counts = [state[f"roi_head_{name}.bbox_head.fc_cls.weight"].shape[0] - 1 for name in names]
        return [detection_task_settings(name, count) for name, count in zip(names, counts, strict=True)]
    num_labels = require(state, "roi_head.bbox_head.fc_cls.weight").shape[0] - 1
    by_count = {len(detection_task_settings(name)["labels"]): name for name in DETECTION_TASKS}
    settings = detection_task_settings(task or by_count.get(num_labels, "detection"), num_labels)
    return [with_labels(settings, labels)]


def refuse_task_options(names: Sequence[str], task: str | None, labels: Sequence[str] | None) -> None:
    """Raise a ValueError if a user names the task of a checkpoint that names its tasks itself."""
    if task or labels:
        raise ValueError(f"the checkpoint names its tasks itself ({', '.join(names)}): leave out task and labels")


def with_labels(settings: dict[str, object], labels: Sequence[str] | None) -> dict[str, object]:
    """The settings of a task with the labels a user gave, if any, in place of its own; as many as there were."""
    if labels is None:
        return settings
    if len(labels) != len(settings["labels"]):
        raise ValueError(f"got {len(labels)} labels for a checkpoint of {len(settings['labels'])} classes")
    return {**settings, "labels": list(labels)}


def count_layers(state: State, prefix: str) -> int:
    """How many numbered modules lie under `prefix`."""
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})


def require(state: State, name: str) -> torch.Tensor:
    """A tensor that every checkpoint of the layout has, or a ValueError with its name."""
    if name not in state:
        raise ValueError(f"the checkpoint's tensors do not fit; missing: {name}")
    return state[name]
