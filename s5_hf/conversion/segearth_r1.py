"""SegEarth-R1 models from the checkpoints of its release, and back."""

import warnings
from pathlib import Path

import torch
from transformers import AutoTokenizer, PhiConfig

from ..modeling import (
    SegEarthR1Config,
    SegEarthR1ForPixelReasoning,
    SegEarthR1ImageProcessor,
    SegEarthR1Processor,
)
from .filling import ConversionReport, State, fill
from .segearth_r1_layout import DEAD, UNUSED, from_release, release_config, to_release

PHI = "microsoft/phi-1_5"


def model_from_segearth_r1(
    state: State, heads: int | None = None
) -> tuple[SegEarthR1ForPixelReasoning, ConversionReport]:
    """The model of a checkpoint.

    Args:
        state: tensors of the release.
        heads: of the language model, where its width is not the published one.

    Raises:
        ValueError: if tensors are missing, superfluous or of another shape.
    """
    config = release_config(state, heads)
    own = from_release(state, config.language_config.num_attention_heads)
    channels = config.backbone_config.hidden_size
    unused = {f"{UNUSED}weight": torch.ones(channels), f"{UNUSED}bias": torch.zeros(channels)}
    model = fill(SegEarthR1ForPixelReasoning, config, {**own, **unused}, lambda name: name)
    left_out = [name for name in state if DEAD.match(name)]
    return model, ConversionReport("SegEarth-R1", config, left_out=left_out, new=list(unused))


def segearth_r1_processor(
    config: SegEarthR1Config, tokenizer: str | Path | None
) -> SegEarthR1Processor | SegEarthR1ImageProcessor:
    """The processor of a model; without the tokenizer, and with a warning, where that cannot be had.

    Args:
        config: of the model.
        tokenizer: folder or name of a language model with it; Phi-1.5 by default.

    Raises:
        ValueError: if the tokenizer has more tokens than the model.
    """
    images = SegEarthR1ImageProcessor(size=config.image_size)
    name = PHI if tokenizer is None else str(tokenizer)
    # As in `open_vocabulary_processor`; what the model cannot do without its tokenizer is another thing.
    try:
        words = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        warnings.warn(
            f"the tokenizer of {name} cannot be had ({str(error).splitlines()[0]}): the model takes no questions "
            "until one is beside it",
            UserWarning,
            stacklevel=3,
        )
        return images
    SegEarthR1Processor.add_tokens(words)
    if len(words) > config.vocab_size:
        raise ValueError(
            f"the tokenizer of {name} has {len(words)} tokens with [PAD] and [SEG], the model {config.vocab_size}: "
            "name the one that goes with this checkpoint"
        )
    return SegEarthR1Processor(images, words)


def segearth_r1_content(model: SegEarthR1ForPixelReasoning, output: Path) -> dict[str, torch.Tensor]:
    """What a file of the release holds of a model, without the tensors that its code never uses.

    Raises:
        ValueError: if the release has no form for the model: only a Swin with Phi.
    """
    language = model.config.language_config
    if model.config.backbone_config.model_type != "swin" or not isinstance(language, PhiConfig):
        raise ValueError(
            f"{output}: the release of SegEarth-R1 has Swin and Phi, this model "
            f"{model.config.backbone_config.model_type} and {language.model_type}"
        )
    return to_release(model.state_dict(), language.num_attention_heads)
