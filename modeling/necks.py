"""The two pyramids: that of the S5 encoder, and the feature pyramid network of the detector."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .deterministic_operations import maximum_of_squares


class S5FeaturePyramid(nn.Module):
    """Four taps of a stride-16 ViT to strides 4, 8, 16 and 32, one branch per tap (ViTDet style, as officially).

    Stride 4: transposed convolution, LayerNorm over the channels, GELU, transposed convolution. Stride 8: transposed
    convolution. Stride 16: the tap itself. Stride 32: maximum over 2 x 2.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.stride4_first = nn.ConvTranspose2d(hidden_size, hidden_size, kernel_size=2, stride=2)
        self.stride4_norm = nn.LayerNorm(hidden_size, eps=1e-6)
        self.stride4_second = nn.ConvTranspose2d(hidden_size, hidden_size, kernel_size=2, stride=2)
        self.stride8 = nn.ConvTranspose2d(hidden_size, hidden_size, kernel_size=2, stride=2)

    def forward(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Four maps `(batch, hidden, rows, columns)` to `(batch, hidden, ...)` of 4, 2, 1 and 1/2 times the size."""
        first, second, third, fourth = maps
        upsampled = self.stride4_first(first).permute(0, 2, 3, 1)  # channels last for the norm
        upsampled = functional.gelu(self.stride4_norm(upsampled)).permute(0, 3, 1, 2)
        return [
            self.stride4_second(upsampled),
            self.stride8(second),
            third,
            # ceil_mode keeps the last row and column of an odd grid, which the official floor would drop;
            # even grids, the only ones of the official sizes, are not touched by it.
            maximum_of_squares(fourth),
        ]


class FeaturePyramidNetwork(nn.Module):
    """Four maps of any width to five of one width, strides 4 to 64 (Lin et al., arXiv 1612.03144, as officially).

    Lateral 1x1 convolutions, top-down sums with nearest upsampling, 3x3 convolutions; officially no norms, no
    activations. The fifth level is every second cell of the fourth.

    Args:
        in_channels: channels of the maps, finest first.
        channels: width of all levels.
        norm_groups: groups of a group norm behind every convolution, with a ReLU behind those of the levels; 0 for
            neither. Heads that start from random weights learn faster with it.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, norm_groups: int = 0) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(nn.Conv2d(width, channels, kernel_size=1) for width in in_channels)
        self.level_convs = nn.ModuleList(nn.Conv2d(channels, channels, kernel_size=3, padding=1) for _ in in_channels)
        self.lateral_norms = nn.ModuleList(new_norm(norm_groups, channels) for _ in in_channels)
        self.level_norms = nn.ModuleList(new_norm(norm_groups, channels, nn.ReLU()) for _ in in_channels)

    def forward(self, feature_maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Maps `(batch, in_channels[k], ...)`, finest first, to levels `(batch, channels, ...)`, one more."""
        lateral = zip(self.lateral_convs, self.lateral_norms, feature_maps, strict=True)
        levels = [norm(conv(level)) for conv, norm, level in lateral]
        for finer in range(len(levels) - 2, -1, -1):
            size = levels[finer].shape[2:]
            levels[finer] = levels[finer] + functional.interpolate(levels[finer + 1], size=size, mode="nearest")
        final = zip(self.level_convs, self.level_norms, levels, strict=True)
        levels = [norm(conv(level)) for conv, norm, level in final]
        return [*levels, levels[-1][:, :, ::2, ::2]]


def new_norm(groups: int, channels: int, *behind: nn.Module) -> nn.Module:
    """A group norm and what follows it; nothing at all for 0 groups."""
    return nn.Sequential(nn.GroupNorm(groups, channels), *behind) if groups else nn.Identity()
