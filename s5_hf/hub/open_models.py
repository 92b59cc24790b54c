"""The names of models that take any classes, which are made of what others have published.

`segearth-ov` is OpenAI's CLIP ViT-B/16 with the up-sampler that the authors of SegEarth-OV have published; that file
is on no Hub, so somebody has to put it beside the store. `segearth-ov-sar` is for radar images: the encoder of
AlignEarth.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import CLIPConfig, CLIPModel

from ..conversion.checkpoint_files import read_checkpoint
from ..conversion.open_clip_layout import to_open_clip
from ..conversion.open_vocabulary import (
    OPENAI_CLIP,
    OpenVocabularyParts,
    model_from_open_vocabulary,
    open_vocabulary_processor,
)
from ..modeling import SegEarthOVConfig
from ..modeling.published_shapes import published_shape
from .download import DOWNLOAD_ERRORS, download, reason

__all__ = ["OPEN_MODELS", "OpenModel", "make_open_model", "open_config", "sources_in_words", "upsampler_file"]

UPSAMPLER_VARIABLE = "S5_HF_SIMFEATUP"
UPSAMPLER_FILE = "xclip_jbu_one_million_aid.ckpt"


@dataclass(frozen=True)
class OpenModel:
    """What a name stands for.

    Attributes:
        what: in words, what it consists of.
        clip: folder or name of a CLIP of transformers.
        encoder_repository: repository of the Hub with the checkpoint of another encoder, in the layout of open_clip.
        settings: of the configuration.
    """

    what: str
    clip: str = OPENAI_CLIP
    encoder_repository: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


OPEN_MODELS = {
    "segearth-ov": OpenModel("classes by name: CLIP ViT-B/16 and SimFeatUp"),
    "segearth-ov-sar": OpenModel(
        "classes by name, radar images: the encoder of AlignEarth and SimFeatUp",
        encoder_repository="likyoo/AlignEarth-SAR-ViT-B-16",
        settings={"attention": "sclip", "last_n_layers": 2, "window_size": 0},
    ),
}


def upsampler_file() -> Path | None:
    """The published up-sampler on this machine: `S5_HF_SIMFEATUP`, or the file of its name in the store, or None.

    Raises:
        FileNotFoundError: if the variable names no file.
    """
    from .store import store_folder

    chosen = os.environ.get(UPSAMPLER_VARIABLE)
    path = Path(chosen).expanduser() if chosen else store_folder() / UPSAMPLER_FILE
    if chosen and not path.is_file():
        raise FileNotFoundError(f"{UPSAMPLER_VARIABLE} is {chosen}, which is no file; expected {UPSAMPLER_FILE}")
    return path if path.is_file() else None


def open_config(name: str) -> SegEarthOVConfig:
    """The configuration that a name gets on this machine; the Hub is not asked for the shape of OpenAI's CLIP."""
    from .store import stored

    folder = stored(name)
    if folder is not None:
        return SegEarthOVConfig.from_pretrained(folder)
    known = OPEN_MODELS[name]
    shape = published_shape(known.clip)
    clip = CLIPConfig.from_pretrained(known.clip) if shape is None else shape.make_config()
    kind = "bilinear" if upsampler_file() is None else "jbu_one"
    return SegEarthOVConfig(clip_config=clip, upsampler=kind, **known.settings)


def sources_in_words(name: str) -> str:
    """What a name that is not in the store would be made of, and where that is."""
    known, upsampler = OPEN_MODELS[name], upsampler_file()
    clip = known.clip if known.encoder_repository is None else f"{known.encoder_repository}, tokenizer: {known.clip}"
    found = f"{UPSAMPLER_FILE} is not here, so bilinear" if upsampler is None else str(upsampler)
    return f"Hub: {clip}; SimFeatUp: {found}"


def make_open_model(name: str, folder: Path, token: str | None = None) -> None:
    """Make the model of a name in a folder.

    A UserWarning says so if there is no up-sampler, so that features are enlarged bilinearly.

    Raises:
        OSError: if something that it is made of cannot be had.
    """
    known = OPEN_MODELS[name]
    parts = OpenVocabularyParts(known.clip, upsampler_file())
    try:
        if known.encoder_repository is None:
            clip = CLIPModel.from_pretrained(known.clip, token=token)
            state = to_open_clip(clip.state_dict(), clip.config.vision_config.hidden_act == "quick_gelu")
        else:
            files = download(known.encoder_repository, ["*.pt"], token=token)
            state = read_checkpoint(next(iter(files.values())))
        model, _ = model_from_open_vocabulary(state, parts, **known.settings)
        processor = open_vocabulary_processor(model.config, known.clip)
    except DOWNLOAD_ERRORS as error:
        raise OSError(
            f"{name} is made of {known.encoder_repository or known.clip}, which cannot be had: {reason(error)}. With "
            f"a checkpoint at hand: s5-hf convert FILE {name} --store"
        ) from error
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
