"""MV-CC: a sentence that says what changed between two images, from the features of a fading from one to the other.

Source: MV-CC (arXiv 2410.23946) and its official code; the names of the decoder's parameters are those of the code.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModel, AutoModelForCausalLM, GenerationMixin
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput
from transformers.utils import can_return_tuple

from .configuration_mvcc import MVCCConfig
from .pretrained_model import S5PreTrainedModel

FEED_FORWARD = 4  # width of the feed-forward network, in hidden sizes
LONGEST_WAVE = 10000.0


class ChangeEncoder(nn.Module):
    """A video encoder, the gate that a mask of changes opens, and a projection to the size of the decoder."""

    main_input_name = "pixel_values"

    def __init__(self, config: MVCCConfig) -> None:
        super().__init__()
        self.config = config
        self.video = None if config.video_config is None else AutoModel.from_config(config.video_config)
        same = config.feature_size == config.hidden_size
        self.projection = nn.Identity() if same else nn.Linear(config.feature_size, config.hidden_size)
        self.gate = nn.Parameter(torch.zeros(())) if config.mask_gate == "soft" else None

    def train(self, mode: bool = True) -> ChangeEncoder:
        """As for every module; a frozen video encoder stays in evaluation mode."""
        super().train(mode)
        if self.config.freeze_video and self.video is not None:
            self.video.eval()
        return self

    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
        change_mask: torch.Tensor | None = None,
        **kwargs: object,
    ) -> BaseModelOutput:
        """What the decoder looks at, `last_hidden_state` `(batch, tokens, hidden)`.

        Args:
            pixel_values: frames `(batch, frames, channels, height, width)` for the video encoder.
            features: `(batch, tokens, feature_size)` in place of frames.
            change_mask: `(batch, rows, columns)`, 0 to 1, at the grid of the encoder's patches; 1 where something
                changed. Without it nothing is gated.

        Raises:
            ValueError: neither or both of frames and features are given, there is no video encoder, or features or
                mask do not fit.
        """
        if (pixel_values is None) == (features is None):
            raise ValueError("expected frames (pixel_values) or features, one of them")
        if features is None:
            if self.video is None:
                raise ValueError("this model has no video encoder: give it features")
            features = self.video(**{self.video.main_input_name: pixel_values}).last_hidden_state
        if features.ndim != 3 or features.shape[2] != self.config.feature_size:
            raise ValueError(
                f"expected features (batch, tokens, {self.config.feature_size}), got {tuple(features.shape)}"
            )
        if change_mask is not None and self.config.mask_gate != "none":
            features = self._gated(features, change_mask)
        return BaseModelOutput(last_hidden_state=self.projection(features))

    def _gated(self, features: torch.Tensor, change_mask: torch.Tensor) -> torch.Tensor:
        cells = change_mask.flatten(1).to(features)
        leading = cells.new_zeros(len(cells), self.config.leading_tokens)
        view = torch.cat([leading, cells.repeat(1, self.config.memory_frames)], dim=1)
        views, rest = divmod(features.shape[1], view.shape[1])
        if rest or not views:
            raise ValueError(
                f"a mask of {' x '.join(map(str, change_mask.shape[1:]))} cells gives {view.shape[1]} tokens to a "
                f"view, which does not fit {features.shape[1]} tokens"
            )
        kept = view.repeat(1, views)[..., None]
        if self.gate is None:
            return features * kept
        share = self.gate.sigmoid()
        return share * features + (1 - share) * features * kept


class CaptionDecoderLayer(nn.Module):
    """Self-attention, attention to the features, feed-forward; the input is added once more at the end."""

    def __init__(self, config: MVCCConfig) -> None:
        super().__init__()
        size, heads, dropout = config.hidden_size, config.num_attention_heads, config.dropout
        self.self_attn = nn.MultiheadAttention(size, heads, dropout, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(size, heads, dropout, batch_first=True)
        self.linear1 = nn.Linear(size, FEED_FORWARD * size)
        self.linear2 = nn.Linear(FEED_FORWARD * size, size)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(size) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, words: torch.Tensor, memory: torch.Tensor, future: torch.Tensor, hidden: torch.Tensor
    ) -> torch.Tensor:
        """`(batch, words, hidden)` to the same shape.

        Args:
            words: of the captions.
            memory: features `(batch, tokens, hidden)`.
            future: bool `(words, words)`, True where a word must not look.
            hidden: bool `(batch, words)`, True for words that nobody looks at.
        """
        attended = self.self_attn(words, words, words, key_padding_mask=hidden, attn_mask=future, need_weights=False)[
            0
        ]
        own = self.norm1(words + self.dropout(attended))
        seen = self.multihead_attn(own, memory, memory, need_weights=False)[0]
        crossed = self.norm2(own + self.dropout(seen))
        forwarded = self.linear2(self.dropout(functional.relu(self.linear1(crossed))))
        return self.norm3(crossed + self.dropout(forwarded)) + words


class CaptionDecoder(nn.Module):
    """Words to scores of the next word."""

    def __init__(self, config: MVCCConfig) -> None:
        super().__init__()
        self.config = config
        self.vocab_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.transformer = nn.ModuleDict(
            {"layers": nn.ModuleList(CaptionDecoderLayer(config) for _ in range(config.num_hidden_layers))}
        )
        self.dropout = nn.Dropout(config.dropout)
        self.wdc = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, words: torch.Tensor, memory: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Scores `(batch, words, vocabulary)` of the word after each of the words int64 `(batch, words)`."""
        length = words.shape[1]
        embedded = self.vocab_embedding(words)
        states = self.dropout(embedded + wave_positions(length, embedded))
        future = torch.ones(length, length, dtype=torch.bool, device=words.device).triu(diagonal=1)
        for layer in self.transformer["layers"]:
            states = layer(states, memory, future, hidden)
        return self.wdc(self.dropout(states))


class TransformersDecoder(nn.Module):
    """The same with a causal language model of transformers that has cross-attention.

    Raises:
        ValueError: the model has none, or fewer places than a caption.
    """

    def __init__(self, config: MVCCConfig) -> None:
        super().__init__()
        self.network = AutoModelForCausalLM.from_config(config.decoder_config)
        if "encoder_hidden_states" not in inspect.signature(self.network.forward).parameters:
            raise ValueError(
                f"a {config.decoder_config.model_type!r} cannot look at features: expected a decoder with "
                "cross-attention, such as bert or gpt2"
            )
        places = getattr(config.decoder_config, "max_position_embeddings", config.max_caption_length)
        if places < config.max_caption_length:
            raise ValueError(
                f"the decoder has {places} places, captions have up to {config.max_caption_length} words with marks"
            )

    def forward(self, words: torch.Tensor, memory: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """As [`CaptionDecoder`]."""
        return self.network(input_ids=words, attention_mask=~hidden, encoder_hidden_states=memory).logits


class MVCCForChangeCaptioning(S5PreTrainedModel, GenerationMixin):
    """A sentence about the change between two images. `generate` of transformers writes it, greedily or by beams.

    ```python
    >>> model = MVCCForChangeCaptioning.from_pretrained("my-captioner")  # doctest: +SKIP
    >>> words = model.generate(**processor(before, after, mask))  # doctest: +SKIP

    ```
    """

    config_class = MVCCConfig
    base_model_prefix = ""
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = False
    _no_split_modules = ["CaptionDecoderLayer"]  # noqa: RUF012 - transformers' own form

    def __init__(self, config: MVCCConfig) -> None:
        super().__init__(config)
        self.encoder = ChangeEncoder(config)
        self.decoder = (CaptionDecoder if config.decoder_config is None else TransformersDecoder)(config)
        self.generation_config.max_length = config.max_caption_length
        self.generation_config.use_cache = False
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding | nn.Linear):
            nn.init.uniform_(module.weight, -0.1, 0.1)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.MultiheadAttention):
            nn.init.xavier_uniform_(module.in_proj_weight)
            nn.init.zeros_(module.in_proj_bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, ChangeEncoder) and module.gate is not None:
            nn.init.zeros_(module.gate)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
        change_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | None = None,
        num_items_in_batch: torch.Tensor | None = None,
        **kwargs: object,
    ) -> Seq2SeqLMOutput | tuple:
        """Scores of the next word after each word.

        Args:
            pixel_values, features, change_mask: as [`ChangeEncoder`] takes them.
            decoder_input_ids: int64 `(batch, words)`, a caption from its beginning mark on.
            labels: whole captions int64 `(batch, words)` from the beginning mark to the end mark, filled up with the
                padding mark; the loss is the mean cross-entropy of all words after the first.
            encoder_outputs: of the encoder, in place of the images.
            num_items_in_batch: words that the loss is divided by, in place of those of this batch.

        Raises:
            ValueError: as [`ChangeEncoder`], or there are no words.
        """
        memory = encoder_outputs or self.encoder(pixel_values, features, change_mask)
        words = labels if decoder_input_ids is None else decoder_input_ids
        if words is None:
            raise ValueError("expected decoder_input_ids or labels")
        hidden = words == self.config.pad_token_id
        if labels is not None:
            hidden = hidden | (words == self.config.eos_token_id)
        logits = self.decoder(words, memory.last_hidden_state, hidden)
        loss = None
        if labels is not None:
            padding = self.config.pad_token_id
            words_after = labels[:, 1:].flatten()
            total = functional.cross_entropy(
                logits[:, :-1].flatten(0, 1).float(), words_after, ignore_index=padding, reduction="sum"
            )
            counted = (words_after != padding).sum() if num_items_in_batch is None else num_items_in_batch
            loss = total / counted.clamp(min=1)
        return Seq2SeqLMOutput(loss=loss, logits=logits)

    def prepare_inputs_for_generation(
        self, decoder_input_ids: torch.Tensor, encoder_outputs: BaseModelOutput | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """What `generate` hands to `forward`: all words so far."""
        return {"decoder_input_ids": decoder_input_ids, "encoder_outputs": encoder_outputs}


def wave_positions(length: int, like: torch.Tensor) -> torch.Tensor:
    """Sines and cosines of the places `(length, hidden)`, in turns."""
    size = like.shape[-1]
    places = torch.arange(length, device=like.device, dtype=torch.float32)[:, None]
    rates = torch.exp(
        torch.arange(0, size, 2, device=like.device, dtype=torch.float32) * (-math.log(LONGEST_WAVE) / size)
    )
    waves = torch.zeros(length, size, device=like.device)
    waves[:, 0::2], waves[:, 1::2] = torch.sin(places * rates), torch.cos(places * rates)
    return waves.to(like.dtype)
