"""Shapes of published encoders of other families, so that a network of such a shape can be made without the Hub.

The sizes are those of the config.json, and mean and deviation those of the preprocessor_config.json, in the repository
of each name on the Hub. Weights are never here: whoever needs them asks transformers for the name.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import CLIPConfig, Dinov2Config, PretrainedConfig, SamVisionConfig, SegformerConfig

__all__ = ["PUBLISHED_SHAPES", "PublishedShape", "published_shape", "weights_are_left_out"]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@dataclass(frozen=True)
class PublishedShape:
    """What is known of an encoder besides its weights.

    Attributes:
        make_config: gives a new configuration, which the caller may change.
        image_mean, image_std: of red, green and blue in 0..1, as the encoder was trained.
    """

    make_config: Callable[[], PretrainedConfig]
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]


def published_shape(name: str) -> PublishedShape | None:
    """The shape of a name of the Hub, such as `facebook/dinov2-small`; `None` where it is not known here."""
    return PUBLISHED_SHAPES.get(name)


def weights_are_left_out() -> bool:
    """Whether new networks have shapes but no numbers: on the meta device, as in `with torch.device("meta")`."""
    return torch.get_default_device().type == "meta"


def _dinov2(width: int, depth: int, heads: int, swiglu: bool = False) -> PublishedShape:
    """DINOv2 (arXiv 2304.07193, table 17), trained last with images of 518 px."""

    def make_config() -> Dinov2Config:
        return Dinov2Config(
            hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, use_swiglu_ffn=swiglu,
            image_size=518, patch_size=14,
        )  # fmt: skip

    return PublishedShape(make_config, *IMAGENET)


def _mix_transformer(widths: tuple[int, ...], depths: tuple[int, ...], decoder_width: int) -> PublishedShape:
    """The encoder of SegFormer (arXiv 2105.15203, table 6)."""

    def make_config() -> SegformerConfig:
        return SegformerConfig(hidden_sizes=list(widths), depths=list(depths), decoder_hidden_size=decoder_width)

    return PublishedShape(make_config, *IMAGENET)


# The CLIPs differ in their sizes alone; each is written out as its config.json is.


def _clip_large() -> CLIPConfig:
    """CLIP ViT-L/14 (arXiv 2103.00020, table 19)."""
    return CLIPConfig(
        text_config={
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "projection_dim": 768,
        },
        vision_config={
            "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
            "image_size": 224, "patch_size": 14, "projection_dim": 768,
        },
        projection_dim=768,
    )  # fmt: skip


def _clip_base() -> CLIPConfig:
    """CLIP ViT-B/16 (arXiv 2103.00020, table 19)."""
    return CLIPConfig(
        text_config={
            "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8,
            "projection_dim": 512,
        },
        vision_config={
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "image_size": 224, "patch_size": 16, "projection_dim": 512,
        },
        projection_dim=512,
    )  # fmt: skip


_NARROW, _WIDE = (32, 64, 160, 256), (64, 128, 320, 512)

PUBLISHED_SHAPES = {
    "facebook/dinov2-small": _dinov2(384, 12, 6),
    "facebook/dinov2-base": _dinov2(768, 12, 12),
    "facebook/dinov2-large": _dinov2(1024, 24, 16),
    "facebook/dinov2-giant": _dinov2(1536, 40, 24, swiglu=True),
    "facebook/sam-vit-base": PublishedShape(SamVisionConfig, *IMAGENET),  # ViT-B of SAM (arXiv 2304.02643)
    "nvidia/mit-b0": _mix_transformer(_NARROW, (2, 2, 2, 2), 256),
    "nvidia/mit-b1": _mix_transformer(_WIDE, (2, 2, 2, 2), 256),
    "nvidia/mit-b2": _mix_transformer(_WIDE, (3, 4, 6, 3), 768),
    "nvidia/mit-b3": _mix_transformer(_WIDE, (3, 4, 18, 3), 768),
    "nvidia/mit-b4": _mix_transformer(_WIDE, (3, 8, 27, 3), 768),
    "nvidia/mit-b5": _mix_transformer(_WIDE, (3, 6, 40, 3), 768),
    "openai/clip-vit-base-patch16": PublishedShape(_clip_base, *CLIP),
    "openai/clip-vit-large-patch14": PublishedShape(_clip_large, *CLIP),
}
"""By name on the Hub."""
