"""SegEarth-OV models from checkpoints of CLIP and of SimFeatUp, and back."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, CLIPModel

from ..modeling import (
    SegEarthOVConfig,
    SegEarthOVForSemanticSegmentation,
    SegEarthOVImageProcessor,
    SegEarthOVProcessor,
    SimFeatUpUpsampler,
)
from .checkpoint_files import read_checkpoint
from .filling import ConversionReport, State, check_fit
from .open_clip_layout import MARKER, clip_config, from_open_clip, is_openai, to_open_clip

OPENAI_CLIP = "openai/clip-vit-base-patch16"
PREFIX = "upsampler."
PROJECTION = f"{PREFIX}fixup_proj.1.weight"
TEXT_MARKER = "token_embedding.weight"
UPSAMPLER_SUFFIX = ".ckpt"


@dataclass(frozen=True)
class OpenVocabularyParts:
    """What a SegEarth-OV model is made of beside the checkpoint that is converted.

    Attributes:
        clip: folder or name of a CLIP of transformers, for a checkpoint of SimFeatUp, or of a vision tower alone; its
            tokenizer is taken in any case.
        upsampler: file of SimFeatUp, for a checkpoint of CLIP.
        quick_gelu: whether a checkpoint of CLIP runs with QuickGELU; by default only one in OpenAI's own layout.
        vision_heads: of its vision tower, where the width does not tell.
    """

    clip: str = OPENAI_CLIP
    upsampler: str | Path | None = None
    quick_gelu: bool | None = None
    vision_heads: int | None = None


def is_open_vocabulary(state: State) -> bool:
    """Whether tensors are of a CLIP with a vision transformer, as OpenAI and open_clip name them, or of SimFeatUp."""
    return MARKER in state or PROJECTION in state


def model_from_open_vocabulary(
    state: State, parts: OpenVocabularyParts, **settings: Any
) -> tuple[SegEarthOVForSemanticSegmentation, ConversionReport]:
    """The model of a checkpoint of CLIP or of SimFeatUp.

    Args:
        state: tensors of the checkpoint.
        parts: what else the model is made of.
        **settings: of `SegEarthOVConfig`.

    Raises:
        FileNotFoundError: there is no such up-sampler.
        OSError: there is no such CLIP.
        ValueError: the tensors do not fit together.
    """
    if MARKER in state:
        clip, what = clip_of(state, parts), "CLIP"
        upsampler = None if parts.upsampler is None else read_upsampler(parts.upsampler)
    else:
        clip, what = CLIPModel.from_pretrained(parts.clip), "SimFeatUp"
        upsampler = upsampler_of(state)
    if upsampler is None:
        warnings.warn(
            "without a SimFeatUp file the model enlarges features bilinearly, and its edges are soft; with the file, "
            "such as xclip_jbu_one_million_aid.ckpt, convert again with --upsampler FILE",
            UserWarning,
            stacklevel=3,
        )
    kind = "bilinear" if upsampler is None else upsampler.kind
    model = SegEarthOVForSemanticSegmentation.from_clip(clip.float(), upsampler=kind, **settings)
    if upsampler is not None:
        width, expected = upsampler.fixup_proj[1].out_channels, clip.config.projection_dim
        if width != expected:
            raise ValueError(
                f"the up-sampler is for features of {width} channels, this CLIP has {expected}: one was not trained "
                "for the other"
            )
        model.upsampler.load_state_dict(upsampler.state_dict())
    return model.eval(), ConversionReport(f"{what}, as a SegEarth-OV model", model.config)


def clip_of(state: State, parts: OpenVocabularyParts) -> CLIPModel:
    """The CLIP of tensors of OpenAI or open_clip; a vision tower alone gets the other one from `parts.clip`."""
    quick_gelu = is_openai(state) if parts.quick_gelu is None else parts.quick_gelu
    if TEXT_MARKER not in state:
        whole = to_open_clip(CLIPModel.from_pretrained(parts.clip).state_dict())
        state = {name: tensor for name, tensor in whole.items() if not name.startswith("visual.")} | state
    clip = CLIPModel(clip_config(state, quick_gelu, parts.vision_heads))
    own = from_open_clip(state)
    check_fit(own, {name: tensor.shape for name, tensor in clip.state_dict().items()})
    clip.load_state_dict(own)
    return clip


def read_upsampler(path: str | Path) -> SimFeatUpUpsampler:
    """An up-sampler from the published file, or from what `s5-hf train simfeatup` leaves, in eval mode.

    ```python
    >>> from s5_hf.conversion import read_upsampler
    >>> upsampler = read_upsampler("runs/simfeatup/upsampler/simfeatup.safetensors")  # doctest: +SKIP

    ```

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read safely, or is none of SimFeatUp.
    """
    state = read_checkpoint(path)
    if PROJECTION not in state:
        raise ValueError(
            f"{path} is no SimFeatUp up-sampler: it has no {PROJECTION}, but {', '.join(list(state)[:3])}"
        )
    return upsampler_of(state)


def upsampler_of(state: State) -> SimFeatUpUpsampler:
    """The up-sampler among the tensors of a training; the others, such as those of its losses, are left out."""
    own = {name.removeprefix(PREFIX): tensor.float() for name, tensor in state.items() if name.startswith(PREFIX)}
    kind = "jbu_one" if any(name.startswith("up.") for name in own) else "jbu_stack"
    upsampler = SimFeatUpUpsampler(state[PROJECTION].shape[0], kind)
    check_fit(own, {name: tensor.shape for name, tensor in upsampler.state_dict().items()})
    upsampler.load_state_dict(own)
    return upsampler.eval()


def open_vocabulary_processor(config: SegEarthOVConfig, clip: str) -> SegEarthOVProcessor | SegEarthOVImageProcessor:
    """The processor of a model; without the tokenizer, and with a warning, where that cannot be had.

    Args:
        config: of the model.
        clip: folder or name of a CLIP with the tokenizer.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(clip)
    except (OSError, ValueError) as error:
        warnings.warn(
            f"the tokenizer of {clip} cannot be had ({str(error).splitlines()[0]}): the model takes no classes until "
            "one is beside it",
            UserWarning,
            stacklevel=3,
        )
        return SegEarthOVImageProcessor()
    if len(tokenizer) > config.clip_config.text_config.vocab_size:
        raise ValueError(
            f"the tokenizer of {clip} has {len(tokenizer)} tokens, the text encoder "
            f"{config.clip_config.text_config.vocab_size}: name the CLIP that goes with this checkpoint"
        )
    return SegEarthOVProcessor(SegEarthOVImageProcessor(), tokenizer)


def open_vocabulary_content(model: SegEarthOVForSemanticSegmentation, output: Path) -> dict[str, object]:
    """What a file of a model holds: its up-sampler if the name ends with .ckpt, otherwise its CLIP.

    Raises:
        ValueError: if it has no up-sampler to write.
    """
    if output.suffix != UPSAMPLER_SUFFIX:
        quick_gelu = model.config.clip_config.vision_config.hidden_act == "quick_gelu"
        return dict(to_open_clip(model.clip.state_dict(), quick_gelu))
    if model.upsampler is None:
        raise ValueError(f"{output}: a .ckpt file holds an up-sampler, and this model has none")
    tensors: dict[str, torch.Tensor] = model.upsampler.state_dict()
    return {"state_dict": {f"{PREFIX}{name}": tensor for name, tensor in tensors.items()}}
