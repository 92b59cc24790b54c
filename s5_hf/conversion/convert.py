"""Checkpoints to this package's folders, and back to the official layout."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from ..files.atomic import atomic_file, atomic_folder, require_absent
from ..files.disk_space import full_disk_in_words, tensor_bytes
from ..modeling import (
    S5DetectionConfig,
    S5ForOrientedObjectDetection,
    S5ForSemanticSegmentation,
    S5ImageProcessor,
    S5SegmentationConfig,
    S5ViTBackbone,
    S5ViTConfig,
)
from .checkpoint_files import read_checkpoint
from .detector_layout import detector_name
from .mae_layout import (
    encoder_from_timm,
    encoder_from_transformers,
    is_timm_mae,
    is_transformers_mae,
    without_class_position,
)
from .model_check import load_checked, require_finite_weights
from .official_configs import (
    count_layers,
    official_detection_config,
    official_segmentation_config,
    official_vit_config,
    require,
    vit_config,
)
from .official_layout import encoder_name, segmenter_name
from .official_limits import Told, require_same_outputs

State = dict[str, torch.Tensor]

MODEL_CLASSES: dict[str, type[PreTrainedModel]] = {
    S5ViTConfig.model_type: S5ViTBackbone,
    S5SegmentationConfig.model_type: S5ForSemanticSegmentation,
    S5DetectionConfig.model_type: S5ForOrientedObjectDetection,
}

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
    taps: Sequence[int] | None = None,
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
        taps: blocks whose outputs make the feature pyramid, four numbers counted from 1 (0 is the stem); needed only
            where they are not the published ones of this depth (or its quarters), because no tensor shows them.
        image_size: side in pixels for which a MAE encoder gets its position embeddings.

    Raises:
        FileNotFoundError, FileExistsError: if `source` is missing or `output` exists.
        ValueError: if the file is unreadable, of no known layout, or its tensors do not fit or are not finite; the
            message names them.
    """
    require_absent(Path(output))
    state = read_checkpoint(source)
    told = Told(num_attention_heads, taps)
    if is_timm_mae(state) or is_transformers_mae(state):
        model, report = model_from_mae(state, told, image_size)
    elif "patch_embed.projection.weight" in state:
        model, report = model_from_encoder(state, told)
    elif "encoder.patch_embed.projection.weight" in state:
        model, report = model_from_segmenter(state, task, labels, told)
    elif "backbone.patch_embed.projection.weight" in state:
        model, report = model_from_detector(state, task, labels, told)
    else:
        raise ValueError(
            f"{source} is of no known layout ({KNOWN_LAYOUTS}); its first tensors: {', '.join(list(state)[:5])}"
        )
    require_finite_weights(model, source)
    needed = tensor_bytes(model.state_dict())
    with full_disk_in_words(Path(output), needed), atomic_folder(output) as folder:
        model.save_pretrained(folder)
        S5ImageProcessor().save_pretrained(folder)
    return report


def export_official(
    folder: str | Path,
    output: str | Path,
    *,
    num_attention_heads: int | None = None,
    taps: Sequence[int] | None = None,
) -> Path:
    """Write a folder of this package as an official `.pth` file; the tensors are equal byte for byte.

    Encoders get bare names, segmenters the prefix `module.`, both under `"model"`; detectors get bare names under
    `"state_dict"`, all as in the release. The file holds tensors only: names of tasks and labels may be lost, and
    normalisation is not in it.

    A UserWarning says so where the normalisation is not the release's.

    Args:
        folder: the model.
        output: the file to make; it must not exist.
        num_attention_heads, taps: those of the model, where they are not the published ones: a reader of the file
            has to be told them, as `convert_checkpoint` can be, and naming them here says that this is known.

    Raises:
        FileExistsError: if `output` exists.
        ValueError: if the folder holds another kind of model or one that is not whole (weights missing or not
            finite), or the layout cannot hold a setting on which the outputs depend; the message names it.
    """
    output = Path(output)
    require_absent(output)
    config = AutoConfig.from_pretrained(folder)
    vit = getattr(config, "backbone_config", config)
    if config.model_type not in MODEL_CLASSES or not isinstance(vit, S5ViTConfig):
        raise ValueError(f"{folder} holds a {config.model_type!r} model, which the official layout cannot express")
    state = official_state(load_checked(MODEL_CLASSES[config.model_type], folder))
    told = Told(num_attention_heads, taps).for_way_back(vit)
    require_same_outputs(config, read_config(state, config, told), folder)
    warn_of_normalisation(folder)
    content: dict[str, object] = {"model": state}
    if isinstance(config, S5SegmentationConfig):
        content = {"model": {f"module.{name}": tensor for name, tensor in state.items()}}
    elif isinstance(config, S5DetectionConfig):
        content = {"state_dict": state, "meta": {}}
    with full_disk_in_words(output, tensor_bytes(content)), atomic_file(output) as temporary:
        torch.save(content, temporary)
    return output


def warn_of_normalisation(folder: str | Path) -> None:
    """Warn where a model's images are prepared otherwise than a reader of the official file will prepare them."""
    file = Path(folder) / "preprocessor_config.json"
    if not file.is_file():
        return
    own, published = S5ImageProcessor.from_pretrained(folder), S5ImageProcessor()
    names = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
    lost = [f"{name}={getattr(own, name)}" for name in names if getattr(own, name) != getattr(published, name)]
    if lost:
        warnings.warn(
            f"{file}: the official layout holds no normalisation ({', '.join(lost)}); keep this file and put it into "
            "every folder converted from the official one",
            UserWarning,
            stacklevel=3,
        )


def official_state(model: PreTrainedModel) -> State:
    """The tensors of a model under their official names, without the prefix of distributed training."""
    state = model.state_dict()
    if isinstance(model, S5ViTBackbone):
        return {encoder_name(name): tensor for name, tensor in state.items()}
    official_name = segmenter_name if isinstance(model, S5ForSemanticSegmentation) else detector_name
    tasks = list(model.config.tasks)
    return {official_name(name, tasks): tensor for name, tensor in state.items()}


def read_config(state: State, config: PretrainedConfig, told: Told) -> PretrainedConfig:
    """The configuration that a reader of official tensors arrives at, for a model of the kind of `config`."""
    if isinstance(config, S5SegmentationConfig):
        return official_segmentation_config(state, None, None, told)
    if isinstance(config, S5DetectionConfig):
        return official_detection_config(state, None, None, told)
    return official_vit_config(state, told)


def model_from_encoder(state: State, told: Told) -> tuple[PreTrainedModel, ConversionReport]:
    """The backbone of an official encoder, dense or with experts."""
    config = official_vit_config(state, told)
    model = fill(S5ViTBackbone, config, state, encoder_name)
    return model, ConversionReport("S5 encoder", config)


def model_from_segmenter(
    state: State, task: str | None, labels: Sequence[str] | None, told: Told
) -> tuple[PreTrainedModel, ConversionReport]:
    """The segmenter of an official S4P, single-dataset, MDF or MoE-MDF checkpoint."""
    config = official_segmentation_config(state, task, labels, told)
    names = list(config.tasks)
    model = fill(S5ForSemanticSegmentation, config, state, lambda name: segmenter_name(name, names))
    several = "MoE-MDF segmenter" if config.backbone_config.num_experts else "MDF segmenter"
    return model, ConversionReport(several if len(names) > 1 else "S5 segmenter", config)


def model_from_detector(
    state: State, task: str | None, labels: Sequence[str] | None, told: Told
) -> tuple[PreTrainedModel, ConversionReport]:
    """The oriented detector of an official checkpoint, of one task or of several."""
    config = official_detection_config(state, task, labels, told)
    names = list(config.tasks)
    model = fill(S5ForOrientedObjectDetection, config, state, lambda name: detector_name(name, names))
    several = "MoE-MDF detector" if config.backbone_config.num_experts else "MDF detector"
    return model, ConversionReport(several if len(names) > 1 else "S5 detector", config)


def model_from_mae(state: State, told: Told, image_size: int) -> tuple[PreTrainedModel, ConversionReport]:
    """The backbone of a MAE encoder; its pyramid, which MAE does not have, is initialised from a fixed seed."""
    encoder, left_out = (encoder_from_timm if is_timm_mae(state) else encoder_from_transformers)(state)
    projection = require(encoder, "embeddings.projection.weight")
    config = vit_config(
        projection,
        depth=count_layers(encoder, "encoder.layers."),
        intermediate_size=require(encoder, "encoder.layers.0.feed_forward.fc1.weight").shape[0],
        image_size=image_size,
        told=told,
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
