"""DPT decoder (Ranftl et al., arXiv 2103.13413) with the layers of the UniMatch V2 release (arXiv 2410.10777)."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from transformers import initialization as init

from .configuration_s5 import default_level_channels

LEVELS = 4


class ResidualUnit(nn.Module):
    """x + conv(relu(conv(relu(x)))), both convolutions 3 x 3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.second = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def forward(self, feature_map: torch.Tensor) -> torch.Tensor:
        inner = self.first(functional.relu(feature_map))
        return feature_map + self.second(functional.relu(inner))


class FeatureFusion(nn.Module):
    """Joins the coarser path with the map of a level and enlarges the result."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.skip_unit = ResidualUnit(channels)
        self.unit = ResidualUnit(channels)
        self.output = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, path: torch.Tensor, level: torch.Tensor | None, size: Sequence[int]) -> torch.Tensor:
        """The path, plus the level if there is one, at height and width `size`."""
        if level is not None:
            path = path + self.skip_unit(level)
        enlarged = functional.interpolate(self.unit(path), size=tuple(size), mode="bilinear", align_corners=True)
        return self.output(enlarged)


class DPTDecoder(nn.Module):
    """Four maps of one grid become a pyramid, which is joined from coarse to fine.

    Args:
        in_channels: channels of the four maps, the shallowest block first.
        channels: width of the decoder.
        level_channels: channels of the four levels of the pyramid; by default as published for the width of the maps.

    Raises:
        ValueError: unless there are four maps and four levels.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, level_channels: Sequence[int] | None = None) -> None:
        super().__init__()
        levels = list(level_channels or default_level_channels(in_channels[-1]))
        if len(in_channels) != LEVELS or len(levels) != LEVELS:
            raise ValueError(
                f"the DPT decoder needs four feature maps and four decoder_level_channels, got {len(in_channels)} "
                f"maps and {levels}"
            )
        self.projections = nn.ModuleList(
            nn.Conv2d(width, level, kernel_size=1) for width, level in zip(in_channels, levels, strict=True)
        )
        self.resizes = nn.ModuleList(
            [
                nn.ConvTranspose2d(levels[0], levels[0], kernel_size=4, stride=4),
                nn.ConvTranspose2d(levels[1], levels[1], kernel_size=2, stride=2),
                nn.Identity(),
                nn.Conv2d(levels[3], levels[3], kernel_size=3, stride=2, padding=1),
            ]
        )
        self.level_convs = nn.ModuleList(
            nn.Conv2d(level, channels, kernel_size=3, padding=1, bias=False) for level in levels
        )
        self.fusions = nn.ModuleList(FeatureFusion(channels) for _ in levels)
        self.output = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        # Nothing lies above the coarsest level: its skip unit is in every checkpoint and is never used, so nothing
        # may wait for its gradient.
        self.fusions[-1].skip_unit.requires_grad_(False)

    def forward(self, feature_maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Four maps `(batch, in_channels, rows, columns)` to one map `(batch, channels, 8 rows, 8 columns)`.

        Raises:
            ValueError: if the maps are of several grids, as those of a feature pyramid are.
        """
        grids = {tuple(level.shape[2:]) for level in feature_maps}
        if len(grids) != 1:
            raise ValueError(
                f"the DPT decoder needs maps of one grid, as a ViT without a feature pyramid gives them, got {grids}; "
                "an S5 ViT takes use_feature_pyramid=False"
            )
        parts = zip(self.projections, self.resizes, self.level_convs, feature_maps, strict=True)
        levels = [conv(resize(project(level))) for project, resize, conv, level in parts]
        sizes = [level.shape[2:] for level in levels]
        path = self.fusions[-1](levels[-1], None, sizes[-2])
        for index in (2, 1):
            path = self.fusions[index](path, levels[index], sizes[index - 1])
        path = self.fusions[0](path, levels[0], [2 * side for side in sizes[0]])
        return functional.relu(self.output(path))


@torch.no_grad()
def initialise_as_torch(module: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> None:
    """New weights as torch makes them, which is how the published code starts these layers."""
    fan_in = nn.init._calculate_correct_fan(module.weight, "fan_in")
    init.kaiming_uniform_(module.weight, a=math.sqrt(5))
    if module.bias is not None:
        init.uniform_(module.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))
