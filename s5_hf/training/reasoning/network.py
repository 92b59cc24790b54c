"""The network of a run: new, from parts that were trained before, or whole."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoBackbone, AutoModelForCausalLM, AutoTokenizer, Mask2FormerModel, PhiConfig
from transformers.models.mask2former.modeling_mask2former import Mask2FormerSinePositionEmbedding

from ...modeling import SegEarthR1Config, SegEarthR1ForPixelReasoning, SegEarthR1ImageProcessor, SegEarthR1Processor
from ...modeling.processing_segearth_r1 import BEFORE_IMAGE, NO_TARGET
from ...modeling.published_shapes import weights_are_left_out
from ...modeling.vit_embeddings import S5ViTEmbeddings
from ..low_rank import LANGUAGE_LAYERS, adapt_layers
from ..pretraining.backbone_config import any_backbone_config
from ..starting_weights import load_network, read_config
from .batches import columns_alone
from .recipe import ReasonerSettings, ReasoningRecipe
from .word_tokenizer import word_tokenizer

LONGEST_PROMPT = 512
PROMPT_WORDS = (
    f"{BEFORE_IMAGE}, Please doing Reasoning Referring Segmentation according to the following instruction: [/INST] "
    f"Sure, It is. {NO_TARGET}"
)


def make_processor(recipe: ReasoningRecipe, samples: Any) -> SegEarthR1Processor:
    """What images and questions go through: that of the network which is started from, or with words of the data."""
    model, data = recipe.model, recipe.data
    if model.reasoner:
        return SegEarthR1Processor.from_pretrained(model.reasoner)
    if model.language_model:
        tokenizer = AutoTokenizer.from_pretrained(model.language_model)
        SegEarthR1Processor.add_tokens(tokenizer)
    else:
        tokenizer = word_tokenizer([PROMPT_WORDS, *words_of(samples)])
    images = SegEarthR1ImageProcessor(size=data.image_size, image_mean=data.image_mean, image_std=data.image_std)
    return SegEarthR1Processor(images, tokenizer)


def words_of(samples: Any) -> Sequence[str]:
    """All questions and answers, without a look at the images."""
    columns = ("question", "answer")
    return [sample.get(name) or "" for sample in columns_alone(samples, *columns) for name in columns]


def make_network(recipe: ReasoningRecipe, vocab_size: int) -> SegEarthR1ForPixelReasoning:
    """The network at step 0, in train mode.

    Args:
        recipe: of the run.
        vocab_size: tokens of the tokenizer.

    Raises:
        ValueError: for sizes and networks that do not fit together.
    """
    settings = recipe.model
    if settings.reasoner:
        model = load_network(SegEarthR1ForPixelReasoning, settings.reasoner)
        model.config.freeze_backbone = settings.freeze_encoder
    else:
        model = SegEarthR1ForPixelReasoning(network_config(recipe, vocab_size))
        start_positions(model)
        load_parts(model, settings)
    model.backbone.requires_grad_(not settings.freeze_encoder)
    if settings.lora_rank:
        adapt_layers(model.language_model, settings, LANGUAGE_LAYERS)
        model.get_input_embeddings().requires_grad_(True)  # of the new token [SEG]
    if not settings.language_weight:
        model.lm_head.requires_grad_(False)  # it gets no gradients
    return model.train()


def network_config(recipe: ReasoningRecipe, vocab_size: int) -> SegEarthR1Config:
    """The configuration of a network that starts from parts."""
    settings, data = recipe.model, recipe.data
    names = (
        "projector_channels",
        "projector_heads",
        "decoder_channels",
        "pixel_decoder_layers",
        "mask_decoder_layers",
    )
    weights = ("mask_weight", "dice_weight", "language_weight", "train_points")
    return SegEarthR1Config(
        backbone_config=any_backbone_config(BackboneChoice(settings), data.image_size, len(data.image_mean)),
        language_config=language_config(settings, vocab_size),
        image_size=data.image_size,
        image_channels=len(data.image_mean),
        pixel_decoder_feedforward=max(1, settings.decoder_feedforward // 2),
        mask_decoder_feedforward=settings.decoder_feedforward,
        freeze_backbone=settings.freeze_encoder,
        **{name: getattr(settings, name) for name in (*names, *weights)},
    )


@torch.no_grad()
def start_positions(model: SegEarthR1ForPixelReasoning) -> None:
    """Let the positions of a new ViT of this package be the sines and cosines that the mask decoder has.

    Drawn at random they say nothing of what lies beside or above what, so that a place in the picture has to be
    learned patch by patch. A width that is no multiple of 4 has no such positions and keeps its own.
    """
    embeddings, width = getattr(model.backbone, "embeddings", None), getattr(model.backbone.config, "hidden_size", 0)
    if isinstance(embeddings, S5ViTEmbeddings) and width % 4 == 0:
        positions = embeddings.position_embeddings
        make = Mask2FormerSinePositionEmbedding(width // 2, normalize=True)
        made = make(torch.Size((1, width, *embeddings.stored_grid)), positions.device, positions.dtype)
        positions.copy_(made.flatten(2).transpose(1, 2))


class BackboneChoice:
    """The settings of a recipe as those of a backbone of the other kinds of training."""

    hidden_size = num_hidden_layers = num_attention_heads = None

    def __init__(self, settings: ReasonerSettings) -> None:
        self.backbone, self.drop_path_rate = settings.backbone, settings.drop_path_rate


def language_config(settings: ReasonerSettings, vocab_size: int) -> Any:
    """The configuration of the language model, for so many tokens."""
    if settings.language_model:
        return read_config(settings.language_model, vocab_size=vocab_size)
    return PhiConfig(
        vocab_size=vocab_size,
        hidden_size=settings.language_width,
        intermediate_size=4 * settings.language_width,
        num_hidden_layers=settings.language_layers,
        num_attention_heads=settings.language_heads,
        max_position_embeddings=LONGEST_PROMPT,
    )


def load_parts(model: SegEarthR1ForPixelReasoning, settings: ReasonerSettings) -> None:
    """Put the weights of the networks that a recipe names into a new one."""
    if weights_are_left_out():
        return
    if settings.mask_former:
        load_mask_former(model, Mask2FormerModel.from_pretrained(settings.mask_former))
    if settings.encoder:
        encoder = load_network(AutoBackbone, settings.encoder, out_features=model.backbone.out_features)
        model.backbone.load_state_dict(encoder.state_dict())
    if settings.language_model:
        language = AutoModelForCausalLM.from_pretrained(settings.language_model)
        model.load_language_model(language)


def load_mask_former(model: SegEarthR1ForPixelReasoning, source: Mask2FormerModel) -> None:
    """Start both decoders, and the vision encoder where it has the same shape, from a Mask2Former of transformers.

    Its two finest convolutions have no bias; those here start with 0.

    Raises:
        ValueError: if its decoders have other sizes.
    """
    encoder = source.pixel_level_module.encoder.state_dict()
    own = model.backbone.state_dict()
    if encoder.keys() == own.keys() and all(encoder[name].shape == tensor.shape for name, tensor in own.items()):
        model.backbone.load_state_dict(encoder)
    decoder = model.mask_decoder
    parts = (
        (decoder.pixel_decoder, source.pixel_level_module.decoder),
        (decoder.decoder, source.transformer_module.decoder),
        (decoder.level_embed, source.transformer_module.level_embed),
    )
    for part, given in parts:
        try:
            missing, unexpected = part.load_state_dict(given.state_dict(), strict=False)
        except RuntimeError as error:
            raise ValueError(
                f"mask_former has decoders of other sizes: {str(error).splitlines()[1].strip()}"
            ) from error
        if unexpected or not set(missing) <= {"adapter_1.0.bias", "layer_1.0.bias"}:
            raise ValueError(f"mask_former has decoders of another depth: {', '.join([*missing, *unexpected][:3])}")
    with torch.no_grad():
        decoder.pixel_decoder.adapter_1[0].bias.zero_()
        decoder.pixel_decoder.layer_1[0].bias.zero_()
