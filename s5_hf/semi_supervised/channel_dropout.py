"""Complementary channel dropout of UniMatch V2 (arXiv 2410.10777, section "Complementary Dropout")."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def complementary_masks(count: int, channels: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Two masks `(count, channels)` for two views of `count` images.

    By the toss of a coin a channel is doubled in one view and dropped in the other. A random half of the images,
    rounded down, keep all channels in both views.
    """
    first = torch.randint(0, 2, (count, channels), device=device) * 2.0
    second = 2.0 - first
    kept = torch.randperm(count, device=device)[: count // 2]
    first[kept], second[kept] = 1.0, 1.0
    return first, second


@contextmanager
def scaled_channels(backbone: nn.Module, masks: torch.Tensor) -> Iterator[None]:
    """Inside the block the backbone's feature maps are multiplied by `masks` `(batch, channels)`.

    A map with fewer channels than the mask takes the first of them, so pyramids of growing width work too. Where a row
    consists of several images, such as both dates of a pair, they have one mask: their difference is scaled by it.
    """

    def scale(module: nn.Module, arguments: tuple, output: object) -> object:
        own = masks.repeat_interleave(len(output.feature_maps[0]) // len(masks), dim=0)
        output.feature_maps = tuple(
            feature_map * own[:, : feature_map.shape[1], None, None].to(feature_map)
            for feature_map in output.feature_maps
        )
        return output

    handle = backbone.register_forward_hook(scale)
    try:
        yield
    finally:
        handle.remove()
