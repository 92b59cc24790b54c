"""Configuration of MV-CC."""

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig, PretrainedConfig

MASK_GATES = ("none", "hard", "soft")
PUBLISHED_SIZE = 2048
MARKS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}


class MVCCConfig(PretrainedConfig):
    """Configuration of [`MVCCForChangeCaptioning`]. The defaults are the published ones (arXiv 2410.23946).

    Args:
        video_config: of a video encoder of transformers, such as VideoMAE or V-JEPA 2, as an object or a dictionary;
            None for a model that is given features.
        vocab_size: words of the captions, with the four that mark unknown words and the ends of a caption.
        feature_size: of the features of the video encoder.
        hidden_size: of the decoder; 2048 as published, or that of `decoder_config`.
        num_hidden_layers, num_attention_heads: of the published decoder.
        dropout: in it, and before its last layer.
        num_frames: which the encoder sees, drawn from `clip_frames` that fade from the first date to the second.
        clip_frames: of the whole fading.
        max_length: of a caption with its marks.
        memory_frames: time steps among the features of a view; the encoder may join several frames to one.
        leading_tokens: features of a view before those of its patches, such as a token of the whole image.
        freeze_video: whether the video encoder stays in evaluation mode.
        decoder_config: of a decoder of transformers in place of the published one: a causal language model with
            cross-attention, such as BERT or GPT-2, as an object or a dictionary. It gets the words and marks given
            here.
        mask_gate: what a mask of changes does to the features: `hard` keeps those that it covers, `soft` weakens the
            others by a learned share, `none` leaves them.

    Raises:
        ValueError: the gate is another, or `hidden_size` is not a multiple of the heads or not that of
            `decoder_config`.
    """

    model_type = "mvcc"
    # The attribute's form is transformers' own.
    sub_configs = {"video_config": AutoConfig, "decoder_config": AutoConfig}  # noqa: RUF012

    def __init__(
        self,
        video_config: PretrainedConfig | Mapping[str, Any] | None = None,
        vocab_size: int = 501,
        feature_size: int = 1408,
        hidden_size: int | None = None,
        num_hidden_layers: int = 1,
        num_attention_heads: int = 8,
        dropout: float = 0.1,
        num_frames: int = 2,
        clip_frames: int = 8,
        max_length: int = 41,
        memory_frames: int = 2,
        leading_tokens: int = 1,
        freeze_video: bool = True,
        mask_gate: str = "hard",
        decoder_config: PretrainedConfig | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # One assignment an argument, as in every configuration of transformers, which reads both from `__init__`.
        if mask_gate not in MASK_GATES:
            raise ValueError(f"mask_gate must be one of {', '.join(MASK_GATES)}, got {mask_gate!r}")
        self.decoder_config = make_decoder_config(decoder_config, vocab_size)
        own_size = PUBLISHED_SIZE if self.decoder_config is None else self.decoder_config.hidden_size
        hidden_size = own_size if hidden_size is None else hidden_size
        if self.decoder_config is not None and hidden_size != own_size:
            raise ValueError(f"hidden_size is {hidden_size}, the decoder's is {own_size}: expected the same")
        if self.decoder_config is None and hidden_size % num_attention_heads:
            raise ValueError(
                f"hidden_size is {hidden_size}, expected a multiple of the {num_attention_heads} attention heads"
            )
        self.video_config = make_part_config(video_config)
        self.vocab_size = vocab_size
        self.feature_size = feature_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.dropout = dropout
        self.num_frames = num_frames
        self.clip_frames = clip_frames
        self.max_caption_length = max_length
        self.memory_frames = memory_frames
        self.leading_tokens = leading_tokens
        self.freeze_video = freeze_video
        self.mask_gate = mask_gate
        super().__init__(**{"is_encoder_decoder": True, "decoder_start_token_id": 2, **MARKS, **kwargs})


def make_part_config(config: PretrainedConfig | Mapping[str, Any] | None) -> PretrainedConfig | None:
    """The configuration of a part from transformers, or None.

    Raises:
        ValueError: transformers knows no such model.
    """
    if config is None or isinstance(config, PretrainedConfig):
        return config
    settings = dict(config)
    return AutoConfig.for_model(settings.pop("model_type"), **settings)


def make_decoder_config(
    config: PretrainedConfig | Mapping[str, Any] | None, vocab_size: int
) -> PretrainedConfig | None:
    """The configuration of a decoder of transformers for so many words, or None.

    Raises:
        ValueError: transformers knows no such model.
    """
    config = make_part_config(config)
    if config is None:
        return None
    kind = {"is_decoder": True, "add_cross_attention": True, "use_cache": False, "tie_word_embeddings": False}
    for name, value in {**kind, "vocab_size": vocab_size, **MARKS}.items():
        setattr(config, name, value)
    return config
