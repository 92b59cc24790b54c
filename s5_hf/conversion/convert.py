"""Checkpoints to this package's folders, and back to the official layout."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel, ProcessorMixin
from transformers.image_processing_utils import BaseImageProcessor

from ..files.atomic import atomic_file, atomic_folder, require_absent
from ..files.disk_space import full_disk_in_words, tensor_bytes
from ..modeling import (
    S5DetectionConfig,
    S5Dinov2Config,
    S5ImageProcessor,
    S5SegmentationConfig,
    S5ViTBackbone,
    S5ViTConfig,
    SamRoadConfig,
    SamRoadProcessor,
    SegEarthOVConfig,
    SegEarthOVForSemanticSegmentation,
    SegEarthR1Config,
    SegEarthR1ForPixelReasoning,
)
from ..modeling.task_model import MODEL_CLASSES
from .checkpoint_files import read_checkpoint
from .efficientnet_lite_layout import DEVIATION, MEAN, is_efficientnet_lite, model_from_efficientnet_lite
from .filling import ConversionReport, State, fill
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
from .official_layout import detector_name, encoder_name, segmenter_name
from .official_limits import Told, require_same_outputs
from .open_vocabulary import (
    OPENAI_CLIP,
    OpenVocabularyParts,
    is_open_vocabulary,
    model_from_open_vocabulary,
    open_vocabulary_content,
    open_vocabulary_processor,
)
from .samroad_layout import MARKER as SAMROAD_MARKER
from .samroad_layout import is_sam, model_from_sam, samroad_config, samroad_name
from .segearth_r1 import model_from_segearth_r1, segearth_r1_content, segearth_r1_processor
from .segearth_r1_layout import MARKER as SEGEARTH_R1
from .unimatch_v2_layout import (
    MARKER,
    join_attention,
    split_attention,
    unimatch_v2_config,
    unimatch_v2_content,
    unimatch_v2_name,
)


@dataclass(frozen=True)
class OfficialLayout:
    """A kind of official checkpoint.

    Attributes:
        what: the kind in a word or two.
        model_type: of the models that it is converted to.
        marker: a tensor that checkpoints of this kind, and no others, have.
        read_config: the configuration behind the tensors, from (tensors, task, labels, what was told).
        tensor_name: the official name of a tensor of the model, from (its name here, names of the tasks).
        content: what the file holds, from the tensors under their official names.
        split, join: between official tensors and such as have one counterpart each in the model, and back.
    """

    what: str
    model_type: str
    marker: str
    read_config: Callable[[State, str | None, Sequence[str] | None, Told], PretrainedConfig]
    tensor_name: Callable[[str, Sequence[str]], str]
    content: Callable[[State], dict[str, object]]
    split: Callable[[State], State] = dict
    join: Callable[[State], State] = dict


LAYOUTS: dict[str, OfficialLayout] = {
    S5ViTConfig.model_type: OfficialLayout(
        "S5 encoder",
        S5ViTConfig.model_type,
        "patch_embed.projection.weight",
        lambda state, task, labels, told: official_vit_config(state, told),
        lambda name, tasks: encoder_name(name),
        lambda state: {"model": state},
    ),
    S5SegmentationConfig.model_type: OfficialLayout(
        "S5 segmenter",
        S5SegmentationConfig.model_type,
        "encoder.patch_embed.projection.weight",
        official_segmentation_config,
        segmenter_name,
        lambda state: {"model": {f"module.{name}": tensor for name, tensor in state.items()}},
    ),
    S5DetectionConfig.model_type: OfficialLayout(
        "S5 detector",
        S5DetectionConfig.model_type,
        "backbone.patch_embed.projection.weight",
        official_detection_config,
        detector_name,
        lambda state: {"state_dict": state, "meta": {}},
    ),
    "unimatch_v2": OfficialLayout(
        "UniMatch V2 segmenter",
        S5SegmentationConfig.model_type,
        MARKER,
        unimatch_v2_config,
        lambda name, tasks: unimatch_v2_name(name),
        unimatch_v2_content,
        split=split_attention,
        join=join_attention,
    ),
    SamRoadConfig.model_type: OfficialLayout(
        "SAM-Road++",
        SamRoadConfig.model_type,
        SAMROAD_MARKER,
        samroad_config,
        lambda name, tasks: samroad_name(name),
        lambda state: {"state_dict": state},
    ),
}

KNOWN_LAYOUTS = (
    "official S5 encoder, segmenter or detector, UniMatch V2 on DINOv2, MAE (facebook/timm), "
    "MAE (transformers' ViTMAE), CLIP with a vision transformer (OpenAI, open_clip), SimFeatUp, SAM, SAM-Road++, "
    "SegEarth-R1, EfficientNet-Lite"
)


def convert_checkpoint(
    source: str | Path,
    output: str | Path,
    *,
    task: str | None = None,
    labels: Sequence[str] | None = None,
    num_attention_heads: int | None = None,
    taps: Sequence[int] | None = None,
    image_size: int = 512,
    entry: str | None = None,
    clip: str = OPENAI_CLIP,
    upsampler: str | Path | None = None,
    quick_gelu: bool | None = None,
    tokenizer: str | Path | None = None,
) -> ConversionReport:
    """Convert a checkpoint of a known layout (`KNOWN_LAYOUTS`) to a folder.

    CLIP and SimFeatUp become a SegEarth-OV model, SAM a SAM-Road++ model whose decoder and topology network are new.

    Args:
        source: checkpoint file, or a folder of transformers for ViTMAE.
        output: the folder to make; it must not exist.
        task: name of the task of a single-task model (default: `isaid` for a segmenter with 16 classes, else
            `segmentation`; `dior` for a detector with 20 classes, `dota` with 18, else `detection`).
        labels: names of its classes; the official ones where `task` is an official name.
        num_attention_heads: needed only where the width is not a known size, because no tensor shows it.
        taps: blocks whose outputs make the feature pyramid, four numbers counted from 1 (0 is the stem); needed only
            where they are not the published ones of this depth (or its quarters), because no tensor shows them.
        image_size: side in pixels for which the encoder of a MAE or a SAM gets its position embeddings; a model from a
            SAM takes crops of this size.
        entry: which of several networks in the file: `model_ema` (the averaged one, which is taken by default) or
            `model` of UniMatch V2.
        clip, upsampler, quick_gelu: see `OpenVocabularyParts`.
        tokenizer: folder or name of the language model of SegEarth-R1, for its tokenizer (default: Phi-1.5).

    Raises:
        OSError: if there is no such `clip`.
        FileNotFoundError, FileExistsError: if `source` is missing or `output` exists.
        ValueError: if the file is unreadable or has an unknown layout, or its tensors do not fit or are not finite;
            the message names them.
    """
    require_absent(Path(output))
    state = read_checkpoint(source, entry)
    told = Told(num_attention_heads, taps)
    kinds = [kind for kind, layout in LAYOUTS.items() if layout.marker in state]
    processor: ProcessorMixin | BaseImageProcessor = S5ImageProcessor()
    if is_open_vocabulary(state):
        parts = OpenVocabularyParts(clip, upsampler, quick_gelu, num_attention_heads)
        model, report = model_from_open_vocabulary(state, parts)
        processor = open_vocabulary_processor(report.config, clip)
    elif is_sam(state):
        model, report = model_from_sam(state, image_size)
    elif SEGEARTH_R1 in state:
        model, report = model_from_segearth_r1(state, num_attention_heads)
        processor = segearth_r1_processor(report.config, tokenizer)
    elif is_efficientnet_lite(state):
        model, report = model_from_efficientnet_lite(state)
        processor = S5ImageProcessor(image_mean=[MEAN] * 3, image_std=[DEVIATION] * 3)
    elif is_timm_mae(state) or is_transformers_mae(state):
        model, report = model_from_mae(state, told, image_size)
    elif kinds:
        model, report = model_from_official(kinds[0], state, told, task, labels)
    else:
        raise ValueError(
            f"{source} has an unknown layout ({KNOWN_LAYOUTS}); its first tensors: {', '.join(list(state)[:5])}"
        )
    if isinstance(report.config, SamRoadConfig):
        processor = SamRoadProcessor()
    require_finite_weights(model, source)
    needed = tensor_bytes(model.state_dict())
    with full_disk_in_words(Path(output), needed), atomic_folder(output) as folder:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
    return report


def export_official(
    folder: str | Path,
    output: str | Path,
    *,
    num_attention_heads: int | None = None,
    taps: Sequence[int] | None = None,
) -> Path:
    """Write a folder of this package as an official file; the tensors are equal byte for byte.

    Encoders get bare names, segmenters the prefix `module.`, both under `"model"`; detectors get bare names under
    `"state_dict"`, all as in the release. Of a SegEarth-OV model, a `.ckpt` file gets the up-sampler and any other the
    CLIP, as open_clip or, with QuickGELU, OpenAI names it. The file holds tensors only: names of tasks and labels may
    be lost, and normalisation is not in it.

    A UserWarning says so where the normalisation is not the release's.

    Args:
        folder: the model.
        output: the file to make; it must not exist.
        num_attention_heads, taps: those of the model, where they are not the published ones: a reader of the file
            has to be told them, as `convert_checkpoint` can be, and naming them here says that this is known.

    Raises:
        FileExistsError: if `output` exists.
        ValueError: if the folder holds another kind of model or an incomplete one (weights missing or not
            finite), or the layout cannot hold a setting on which the outputs depend; the message names it.
    """
    output = Path(output)
    require_absent(output)
    config = AutoConfig.from_pretrained(folder)
    if isinstance(config, SegEarthOVConfig):
        model = load_checked(SegEarthOVForSemanticSegmentation, folder)
        return write_file(open_vocabulary_content(model, output), output)
    if isinstance(config, SegEarthR1Config):
        model = load_checked(SegEarthR1ForPixelReasoning, folder)
        return write_file(dict(segearth_r1_content(model, output)), output)
    vit = getattr(config, "backbone_config", config)
    layout, tasks = layout_for(config, folder), list(getattr(config, "tasks", ()))
    model = load_checked(MODEL_CLASSES[config.model_type], folder)
    state = {layout.tensor_name(name, tasks): tensor for name, tensor in model.state_dict().items()}
    state = layout.join(state)
    told = Told(num_attention_heads, taps).for_way_back(vit)
    require_same_outputs(config, layout.read_config(state, None, None, told), folder)
    warn_of_normalisation(folder)
    return write_file(layout.content(state), output)


def write_file(content: dict[str, object], output: Path) -> Path:
    """Write tensors as torch does, whole or not at all."""
    with full_disk_in_words(output, tensor_bytes(content)), atomic_file(output) as temporary:
        torch.save(content, temporary)
    return output


def layout_for(config: PretrainedConfig, folder: str | Path) -> OfficialLayout:
    """The official layout for a model of this configuration.

    Raises:
        ValueError: if there is none; `folder` is what the message calls the model.
    """
    vit = getattr(config, "backbone_config", config)
    if isinstance(vit, S5Dinov2Config) and getattr(config, "decoder", None) == "dpt":
        return LAYOUTS["unimatch_v2"]
    if isinstance(config, SamRoadConfig) and config.fixed_size:
        return LAYOUTS[config.model_type]
    if config.model_type not in LAYOUTS or not isinstance(vit, S5ViTConfig):
        raise ValueError(f"{folder} holds a {config.model_type!r} model, which the official layout cannot express")
    return LAYOUTS[config.model_type]


def warn_of_normalisation(folder: str | Path) -> None:
    """Warn where a model's images are prepared differently from how a reader of the official file prepares them."""
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


def model_from_official(
    kind: str, state: State, told: Told, task: str | None = None, labels: Sequence[str] | None = None
) -> tuple[PreTrainedModel, ConversionReport]:
    """The model of an official checkpoint: an encoder, or a segmenter or detector of one task or of several."""
    layout = LAYOUTS[kind]
    config = layout.read_config(state, task, labels, told)
    tasks = list(getattr(config, "tasks", ()))
    model_class = MODEL_CLASSES[layout.model_type]
    model = fill(model_class, config, layout.split(state), lambda name: layout.tensor_name(name, tasks))
    what = layout.what
    if len(tasks) > 1:
        what = what.replace("S5", "MoE-MDF" if config.backbone_config.num_experts else "MDF")
    return model, ConversionReport(what, config)


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
