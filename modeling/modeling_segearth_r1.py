"""SegEarth-R1: a question about an image, or words that refer to something in it, and the mask that answers it.

Source: SegEarth-R1 (arXiv 2504.09644) and its official code; the numerics are those of the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModel, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_segearth_r1 import SegEarthR1Config, grid_sizes
from .description_projector import DescriptionProjector, VisualConnector
from .dpt import initialise_as_torch
from .image_sizes import check_pixel_values
from .point_mask_loss import PointRule, mask_losses
from .pretrained_model import S5PreTrainedModel
from .prompt_sequence import IGNORED, IMAGE
from .query_mask_decoder import QueryMaskDecoder
from .task_model import build_backbone

DECODER_STRIDES = (4, 8, 16, 32)


@dataclass
class SegEarthR1Output(ModelOutput):
    """Output of [`SegEarthR1ForPixelReasoning`].

    Args:
        loss: the weighted sum of its parts, if `mask_labels` were given.
        mask_logits: `(batch, 1, height / 4, width / 4)`; positive on what was asked for.
        auxiliary_logits: of the earlier layers of the mask decoder, in their order.
        language_logits: `(batch, tokens, vocabulary)`, if `labels` were given.
        loss_parts: `cross_entropy` and `dice`, each the sum over all outputs, and `language`, where it was asked for;
            before weighting.
    """

    loss: torch.Tensor | None = None
    mask_logits: torch.Tensor | None = None
    auxiliary_logits: tuple[torch.Tensor, ...] | None = None
    language_logits: torch.Tensor | None = None
    loss_parts: dict[str, torch.Tensor] | None = None


class SegEarthR1ForPixelReasoning(S5PreTrainedModel):
    """A mask for every image and its question.

    ```python
    >>> model = SegEarthR1ForPixelReasoning.from_pretrained("my-reasoner")  # doctest: +SKIP
    >>> inputs = processor(images=image, text="where would a helicopter land?")  # doctest: +SKIP
    >>> masks = processor.post_process_masks(model(**inputs), [image.size[::-1]])  # doctest: +SKIP

    ```
    """

    config_class = SegEarthR1Config
    input_modalities = ("image", "text")

    def __init__(self, config: SegEarthR1Config) -> None:
        super().__init__(config)
        self.backbone = build_backbone(config.backbone_config)
        channels = self.backbone.channels
        if len(channels) != 4:
            raise ValueError(f"the backbone gives {len(channels)} feature maps, expected four (out_features)")
        self.connector = VisualConnector(channels[-1], config.hidden_size, grid_sizes(config.image_size)[1:])
        self.language_model = AutoModel.from_config(config.language_config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.projector = DescriptionProjector(
            config.hidden_size,
            channels[-1],
            config.projector_channels,
            config.projector_heads,
            config.decoder_channels,
        )
        self.mask_decoder = QueryMaskDecoder(config.mask_former_config, channels)
        self.post_init()

    @classmethod
    def from_parts(
        cls, backbone: PreTrainedModel, language: str | PreTrainedModel, vocab_size: int, **settings: Any
    ) -> SegEarthR1ForPixelReasoning:
        """A model on a vision encoder and a language model that were trained before; what joins them is new.

        Args:
            backbone: with four feature maps; is used and not copied.
            language: a causal language model, or what `AutoModelForCausalLM.from_pretrained` takes.
            vocab_size: tokens of the tokenizer, `[PAD]` and `[SEG]` among them.
            **settings: further arguments of `SegEarthR1Config`.
        """
        if isinstance(language, str):
            language = AutoModelForCausalLM.from_pretrained(language)
        language.resize_token_embeddings(vocab_size)
        config = SegEarthR1Config(backbone_config=backbone.config, language_config=language.config, **settings)
        model = cls(config)
        model.backbone.load_state_dict(backbone.state_dict())
        model.load_language_model(language)
        return model

    @torch.no_grad()
    def load_language_model(self, language: PreTrainedModel) -> None:
        """Take the weights of a causal language model; its tokens become as many as there are here.

        The published model has no bias in its last layer, whatever the language model had.
        """
        language.resize_token_embeddings(self.config.vocab_size)
        self.language_model.load_state_dict(language.base_model.state_dict())
        self.lm_head.weight.copy_(language.get_output_embeddings().weight)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Conv2d, nn.Linear)):  # the parts from elsewhere initialise their own
            initialise_as_torch(module)
        else:
            super()._init_weights(module)

    def get_input_embeddings(self) -> nn.Module:
        """Those of the language model."""
        return self.language_model.get_input_embeddings()

    def train(self, mode: bool = True) -> SegEarthR1ForPixelReasoning:
        """As ever, but a frozen encoder stays in evaluation mode; officially its stochastic depth acts: a defect."""
        super().train(mode)
        if self.config.freeze_backbone:
            self.backbone.eval()
        return self

    def encode_images(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The four feature maps of images `(batch, channels, image_size, image_size)`, at the strides 4, 8, 16 and 32.

        Raises:
            ValueError: for another shape.
        """
        check_pixel_values(pixel_values, self.config.image_channels)
        side = self.config.image_size
        if tuple(pixel_values.shape[2:]) != (side, side):
            raise ValueError(
                f"images of {pixel_values.shape[3]} x {pixel_values.shape[2]} px, the model takes {side} x {side}: "
                "its processor makes them so"
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.freeze_backbone):
            return at_decoder_strides(self.backbone(pixel_values).feature_maps, side)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        refer_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        mask_labels: torch.Tensor | None = None,
        point_seeds: Sequence[int] | torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | float | None = None,
        feature_maps: Sequence[torch.Tensor] | None = None,
        image_rows: torch.Tensor | None = None,
        **kwargs: object,
    ) -> SegEarthR1Output | tuple:
        """Segment what questions ask for; arguments as the processor gives them.

        Args:
            pixel_values: normalised images `(batch, channels, image_size, image_size)`.
            input_ids: int64 `(batch, tokens)`, -200 where a visual token goes.
            attention_mask: `(batch, tokens)`, 0 on padding; none by default.
            refer_mask: bool `(batch, tokens)`, True on the question.
            labels: int64 `(batch, tokens)`, -100 where nothing is learned, for the loss of the language model.
            mask_labels: 0 and 1, `(batch, height, width)`, for the loss of the mask.
            point_seeds: one per image, of the places where the loss looks; drawn if left out.
            num_items_in_batch: tokens by which the loss of the language model is divided; by default those of the
                batch. It makes several batches one.
            feature_maps: of `encode_images`, in place of `pixel_values`.
            image_rows: int64 `(prompts,)`, which image each prompt is about, where there are several about an image;
                what does not depend on the prompt is then computed once. All else is by prompt, also the masks.

        Raises:
            ValueError: for missing or wrong inputs.
        """
        if input_ids is None or refer_mask is None or (pixel_values is None) == (feature_maps is None):
            raise ValueError("input_ids and refer_mask are needed, and one of pixel_values and feature_maps")
        maps = self.encode_images(pixel_values) if feature_maps is None else feature_maps
        coarsest = maps[-1] if image_rows is None else maps[-1][image_rows]
        hidden = self.read_prompts(input_ids, attention_mask, coarsest)
        outputs = self.mask_decoder(self.make_query(hidden, refer_mask, coarsest), maps, image_rows)
        language_logits = None if labels is None else self.lm_head(hidden)
        parts = {}
        if mask_labels is not None:
            parts |= self.losses_of_masks(outputs, mask_labels, point_seeds)
        if labels is not None:
            parts["language"] = self.loss_of_language(language_logits, labels, num_items_in_batch)
        weights = {
            "cross_entropy": self.config.mask_weight,
            "dice": self.config.dice_weight,
            "language": self.config.language_weight,
        }
        return SegEarthR1Output(
            loss=sum(weights[name] * value for name, value in parts.items()) if parts else None,
            mask_logits=outputs[-1],
            auxiliary_logits=outputs[:-1],
            language_logits=language_logits,
            loss_parts=parts or None,
        )

    def embed_prompts(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None, coarsest: torch.Tensor
    ) -> torch.Tensor:
        """What the language model reads, `(batch, tokens, hidden)`; zero on padding.

        Raises:
            ValueError: if a prompt does not have as many places as an image has tokens.
        """
        places = input_ids == IMAGE
        visual = self.connector(coarsest)
        if not bool((places.sum(dim=1) == visual.shape[1]).all()):
            raise ValueError(
                f"prompts with {places.sum(dim=1).tolist()} places for visual tokens, an image has {visual.shape[1]}"
            )
        embeddings = self.get_input_embeddings()(input_ids.masked_fill(places, 0))
        embeddings = embeddings.masked_scatter(places[..., None], visual.to(embeddings.dtype))
        return embeddings if attention_mask is None else embeddings * attention_mask[..., None].to(embeddings.dtype)

    def read_prompts(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None, coarsest: torch.Tensor
    ) -> torch.Tensor:
        """Hidden states `(batch, tokens, hidden)` after the last norm of the language model."""
        return self.language_model(
            inputs_embeds=self.embed_prompts(input_ids, attention_mask, coarsest),
            attention_mask=attention_mask,
            use_cache=False,
        ).last_hidden_state

    def make_query(self, hidden: torch.Tensor, refer_mask: torch.Tensor, coarsest: torch.Tensor) -> torch.Tensor:
        """The query `(batch, 1, channels)` of the questions."""
        return self.projector(mean_of_question(hidden, refer_mask), coarsest)

    def losses_of_masks(
        self,
        outputs: Sequence[torch.Tensor],
        mask_labels: torch.Tensor,
        point_seeds: Sequence[int] | torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Cross-entropy and dice, each summed over all outputs of the mask decoder."""
        if point_seeds is None:
            point_seeds = torch.randint(2**31, (len(mask_labels),))
        config = self.config
        rule = PointRule(config.train_points, config.oversampling, config.uncertain_share)
        places = rule.draw([int(seed) for seed in point_seeds], len(outputs))
        cross_entropy, dice = mask_losses(outputs, mask_labels, places, rule.uncertain)
        return {"cross_entropy": cross_entropy.sum(), "dice": dice.sum()}

    def loss_of_language(
        self, logits: torch.Tensor, labels: torch.Tensor, count: torch.Tensor | float | None = None
    ) -> torch.Tensor:
        """Cross-entropy of the next tokens, over `count` of them."""
        total = functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
        )
        return total / (learned_tokens(labels) if count is None else count)


def at_decoder_strides(maps: Sequence[torch.Tensor], side: int) -> tuple[torch.Tensor, ...]:
    """Feature maps of images of `side` pixels at the strides of the decoders, whatever strides a backbone has.

    Maps that are too fine are averaged, maps that are too coarse interpolated; those that fit are left as they are.
    """
    fitted = []
    for values, stride in zip(maps, DECODER_STRIDES, strict=True):
        size = (side // stride, side // stride)
        if tuple(values.shape[2:]) != size:
            is_finer = values.shape[2] >= size[0] and values.shape[3] >= size[1]
            resize = functional.adaptive_avg_pool2d if is_finer else _interpolated
            values = resize(values, size)
        fitted.append(values)
    return tuple(fitted)


def _interpolated(values: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(values, size=size, mode="bilinear", align_corners=False)


def mean_of_question(hidden: torch.Tensor, refer_mask: torch.Tensor) -> torch.Tensor:
    """The mean `(batch, hidden)` of the hidden states of questions `(batch, tokens, hidden)`."""
    weights = refer_mask.to(hidden.dtype)[..., None]
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def learned_tokens(labels: torch.Tensor) -> torch.Tensor:
    """How many tokens of labels `(batch, tokens)` are predicted from those before them; 1 at least."""
    return (labels[:, 1:] != IGNORED).sum().clamp(min=1)


__all__ = ["SegEarthR1ForPixelReasoning", "SegEarthR1Output"]
