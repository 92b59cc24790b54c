"""The all-MLP decoder of SegFormer (Xie et al., arXiv 2105.15203), with the deep classifier of DWL."""

from collections.abc import Sequence

import torch
from torch import nn

from .upernet import resize_like

# Of the batch norm in the classifier, as published for DWL.
MOMENTUM = 0.01


class SegformerDecoder(nn.Module):
    """Every level to one width, enlarged to the finest and stacked, the coarsest first.

    Args:
        in_channels: channels of the maps, finest first.
        channels: width of a level; the stack has as many for every map.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(width, channels) for width in in_channels)

    def forward(self, feature_maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Maps `(batch, in_channels, ...)`, finest first, to one map `(batch, maps * channels, ...)` at the finest."""
        levels = [
            project(level.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            for project, level in zip(self.projections, feature_maps, strict=True)
        ]
        return torch.cat([*(resize_like(level, levels[0]) for level in levels[:0:-1]), levels[0]], dim=1)


class DeepClassifier(nn.Sequential):
    """1 x 1 convolution, batch norm, ReLU, 1 x 1 convolution.

    Args:
        channels: of the decoder's map, kept inside.
        num_labels: number of classes.
    """

    def __init__(self, channels: int, num_labels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, kernel_size=1),
            nn.BatchNorm2d(channels, momentum=MOMENTUM),
            nn.ReLU(),
            nn.Conv2d(channels, num_labels, kernel_size=1),
        )
