"""The network of a run and its processor: new, on a video encoder that was trained before, or whole."""

from __future__ import annotations

from typing import Any

from transformers import AutoModel, PretrainedConfig

from ...modeling import MVCCConfig, MVCCForChangeCaptioning, MVCCImageProcessor, MVCCProcessor
from ...modeling.configuration_mvcc import make_part_config
from ..pretraining.backbone_config import read_backbone
from ..starting_weights import load_network, read_config
from .caption_words import caption_tokenizer, caption_words
from .recipe import CaptioningRecipe

LEAST_FRAMES = 2


def make_processor(recipe: CaptioningRecipe, samples: Any) -> MVCCProcessor:
    """What images and sentences go through: that of the captioner which is started from, or with words of the data.

    Raises:
        ValueError: no word comes often enough.
    """
    model, data = recipe.model, recipe.data
    if model.captioner:
        return MVCCProcessor.from_pretrained(model.captioner)
    words = caption_words(sentences_of(samples), data.least_count)
    if len(words) <= len(caption_words([])):
        raise ValueError(f"no word comes {data.least_count} times in the sentences: choose a smaller least_count")
    config = video_config(recipe)
    frames = max(LEAST_FRAMES, frames_of(config))
    images = MVCCImageProcessor(
        side=data.image_size,
        grid=data.image_size // config.patch_size,
        clip_frames=max(8, frames),
        num_frames=frames,
        image_mean=data.image_mean,
        image_std=data.image_std,
    )
    return MVCCProcessor(images, caption_tokenizer(words, data.max_length))


# As for the questions in reasoning/network.py: only the columns of words are read.
def sentences_of(samples: Any) -> list[str]:
    """All sentences, without a look at the images."""
    if hasattr(samples, "select_columns"):
        samples = samples.select_columns(["captions"])
    return [sentence for sample in samples for sentence in sample["captions"]]


def make_network(recipe: CaptioningRecipe, vocab_size: int) -> MVCCForChangeCaptioning:
    """The network at step 0, in train mode.

    Args:
        recipe: of the run.
        vocab_size: words of the tokenizer.

    Raises:
        ValueError: for sizes and networks that do not fit together.
    """
    settings, data = recipe.model, recipe.data
    if settings.freeze_encoder and not (settings.encoder or settings.captioner):
        raise ValueError(
            "a new video encoder cannot stay as it is: give --encoder, such as MCG-NJU/videomae-base, or "
            "--freeze-encoder false to train it"
        )
    if settings.captioner:
        model = load_network(MVCCForChangeCaptioning, settings.captioner)
        model.config.freeze_video = settings.freeze_encoder
    else:
        video = video_config(recipe)
        model = MVCCForChangeCaptioning(
            MVCCConfig(
                video_config=video,
                vocab_size=vocab_size,
                feature_size=video.hidden_size,
                hidden_size=settings.hidden_size,
                decoder_config=decoder_config(recipe),
                num_hidden_layers=settings.num_hidden_layers,
                num_attention_heads=settings.num_attention_heads,
                dropout=settings.dropout,
                num_frames=frames_of(video),
                max_length=data.max_length,
                memory_frames=frames_of(video) // video.tubelet_size,
                leading_tokens=0,
                freeze_video=settings.freeze_encoder,
                mask_gate=settings.mask_gate,
            )
        )
        if settings.encoder:
            model.encoder.video = load_network(AutoModel, settings.encoder, config=video)
    if model.encoder.video is None:
        raise ValueError(f"{settings.captioner} has no video encoder, so it cannot learn from images")
    model.encoder.video.requires_grad_(not settings.freeze_encoder)
    return model.train()


def video_config(recipe: CaptioningRecipe) -> PretrainedConfig:
    """The configuration of the video encoder, for images of the recipe's size.

    Raises:
        ValueError: it is none whose features lie in patches of frames, or does not fit the images.
    """
    data, (start, changes) = recipe.data, read_backbone(recipe.model.backbone)
    known = read_config(recipe.model.encoder or start) if recipe.model.encoder or start else None
    settings = known.to_dict() if known is not None else {"model_type": changes.pop("model_type", "videomae")}
    side = "crop_size" if settings["model_type"] == "vjepa2" else "image_size"
    config = make_part_config({**settings, side: data.image_size, **changes})
    if not all(hasattr(config, name) for name in ("tubelet_size", "patch_size", "hidden_size")):
        raise ValueError(f"a {config.model_type} is not a video encoder such as videomae or vjepa2")
    if data.image_size % config.patch_size:
        raise ValueError(
            f"image_size is {data.image_size}, expected a multiple of the patches of {config.patch_size} px"
        )
    return config


def decoder_config(recipe: CaptioningRecipe) -> PretrainedConfig | None:
    """The configuration of a decoder of transformers with the sizes of the recipe; None for the published one.

    Raises:
        ValueError: transformers knows no such model.
    """
    settings = recipe.model
    if not settings.decoder:
        return None
    start, changes = read_backbone(settings.decoder)
    if start or "model_type" not in changes:
        raise ValueError(f"decoder begins with {settings.decoder[0]!r}, expected a model type such as bert or gpt2")
    sizes = {name: getattr(settings, name) for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    known = make_part_config({"model_type": changes["model_type"]})
    unknown = sorted(set(changes) - set(known.to_dict()))
    if unknown:
        raise ValueError(f"a {known.model_type} has no setting {', '.join(unknown)}")
    if hasattr(known, "intermediate_size"):
        sizes["intermediate_size"] = 4 * settings.hidden_size
    names = getattr(known, "attribute_map", {})
    return make_part_config({**{names.get(name, name): size for name, size in sizes.items()}, **changes})


def frames_of(config: PretrainedConfig) -> int:
    """How many frames a video encoder sees."""
    return int(getattr(config, "num_frames", None) or config.frames_per_clip)
