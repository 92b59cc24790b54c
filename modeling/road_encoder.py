"""The image encoders of SAM-Road++: the image encoder of a SAM, or any backbone with a map of stride 16."""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel, SamVisionConfig, SamVisionModel

from .configuration_samroad import STRIDE, is_sam
from .task_model import build_backbone


class ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of a map `(batch, channels, height, width)`."""

    def forward(self, feature_map: torch.Tensor) -> torch.Tensor:
        return super().forward(feature_map.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class RoadNeck(nn.Sequential):
    """The neck of a SAM for other backbones: 1 x 1 and 3 x 3 convolutions without bias, each with a norm."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, channels, kernel_size=1, bias=False),
            ChannelNorm(channels, eps=1e-6),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            ChannelNorm(channels, eps=1e-6),
        )


def build_encoder(config: PretrainedConfig) -> PreTrainedModel:
    """The encoder of a configuration, with new weights."""
    return SamVisionModel(config) if is_sam(config) else build_backbone(config)


def last_map(backbone: PreTrainedModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """The last map `(batch, channels, height / 16, width / 16)` of a backbone for images of whole patches.

    Raises:
        ValueError: if it is of another stride than 16.
    """
    feature_map = backbone(pixel_values, return_dict=True).feature_maps[-1]
    size = tuple(side // STRIDE for side in pixel_values.shape[2:])
    if tuple(feature_map.shape[2:]) != size:
        raise ValueError(
            f"the last map of the backbone {backbone.config.model_type!r} has {tuple(feature_map.shape[2:])} cells, "
            f"stride {STRIDE} would be {size}; choose another stage with out_features of its configuration"
        )
    return feature_map


def resize_sam_tables(state: Mapping[str, torch.Tensor], config: SamVisionConfig) -> dict[str, torch.Tensor]:
    """Weights of a `SamVisionModel` with the tables of another image size.

    The position embeddings are resized, and so are the relative positions of the blocks with global attention; those
    of windows stay. Bilinear, `align_corners=False`, a table of relative positions as an image of one channel.

    Args:
        state: by the names of `SamVisionModel`.
        config: of the model that will take them; its `global_attn_indexes` say which blocks are global, where the
            official code compares parts of names and so loses tables of larger SAMs.
    """
    side = config.image_size // config.patch_size
    resized = dict(state)
    for name, table in state.items():
        if name.endswith(".pos_embed") and table.shape[1:3] != (side, side):
            image = functional.interpolate(table.permute(0, 3, 1, 2), size=(side, side), mode="bilinear")
            resized[name] = image.permute(0, 2, 3, 1).contiguous()
        elif ".rel_pos_" in name and int(name.split(".layers.")[1].split(".")[0]) in config.global_attn_indexes:
            size = (2 * side - 1, table.shape[1])
            resized[name] = functional.interpolate(table[None, None], size=size, mode="bilinear")[0, 0]
    return resized
