"""Feature pyramid network (Lin et al., arXiv 1612.03144) as the official detector configures it: five levels."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


class FeaturePyramidNetwork(nn.Module):
    """Four maps of any width to five of one width, strides 4 to 64.

    Lateral 1x1 convolutions, top-down sums with nearest upsampling, 3x3 convolutions; no norms, no activations. The
    fifth level is every second cell of the fourth.

    Args:
        in_channels: channels of the maps, finest first.
        channels: width of all levels.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(nn.Conv2d(width, channels, kernel_size=1) for width in in_channels)
        self.level_convs = nn.ModuleList(nn.Conv2d(channels, channels, kernel_size=3, padding=1) for _ in in_channels)

    def forward(self, feature_maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Maps `(batch, in_channels[k], ...)`, finest first, to levels `(batch, channels, ...)`, one more."""
        levels = [conv(level) for conv, level in zip(self.lateral_convs, feature_maps, strict=True)]
        for finer in range(len(levels) - 2, -1, -1):
            size = levels[finer].shape[2:]
            levels[finer] = levels[finer] + functional.interpolate(levels[finer + 1], size=size, mode="nearest")
        levels = [conv(level) for conv, level in zip(self.level_convs, levels, strict=True)]
        return [*levels, levels[-1][:, :, ::2, ::2]]
