"""MambaHSI, the small network that SPECIAL (arXiv 2501.16222) trains on one hyperspectral cube.

The names of the parameters are those of the official code; its `rec_head`, which has no loss, is left out.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from transformers.utils import can_return_tuple

from .configuration_mamba_hsi import MambaHSIConfig
from .dpt import initialise_as_torch
from .modeling_s5_segmentation import S5SegmenterOutput
from .pretrained_model import S5PreTrainedModel
from .selective_scan_mixer import SelectiveScanMixer

STEP = 4
"""Height and width inside the network are multiples of this."""


class SpatialMamba(nn.Module):
    """Mixes all pixels of an image as one sequence, row after row."""

    def __init__(self, config: MambaHSIConfig) -> None:
        super().__init__()
        self.mamba = SelectiveScanMixer(config.hidden_size, config.state_size, config.conv_kernel, config.expand)
        self.proj = nn.Sequential(nn.GroupNorm(config.num_groups, config.hidden_size), nn.SiLU())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, height, width)` to the same shape."""
        # The official code makes one sequence of a whole batch, so that an image sees the ones before it.
        mixed = self.mamba(features.flatten(2).transpose(1, 2)).transpose(1, 2)
        return self.proj(mixed.reshape(features.shape)) + features


class SpectralMamba(nn.Module):
    """Mixes the channels of every pixel, cut into a short sequence."""

    def __init__(self, config: MambaHSIConfig) -> None:
        super().__init__()
        self.tokens = config.spectral_tokens
        size = config.hidden_size // self.tokens
        self.mamba = SelectiveScanMixer(size, config.state_size, config.conv_kernel, config.expand)
        self.proj = nn.Sequential(nn.GroupNorm(config.num_groups, config.hidden_size), nn.SiLU())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, height, width)` to the same shape."""
        batch, _, height, width = features.shape
        pixels = features.permute(0, 2, 3, 1).reshape(batch * height * width, self.tokens, -1)
        mixed = self.mamba(pixels).reshape(batch, height, width, -1).permute(0, 3, 1, 2)
        return self.proj(mixed) + features


class MambaHSIBlock(nn.Module):
    """Both mixings with learned shares, and the features themselves."""

    def __init__(self, config: MambaHSIConfig) -> None:
        super().__init__()
        self.spa_mamba = SpatialMamba(config)
        self.spe_mamba = SpectralMamba(config)
        self.weights = nn.Parameter(torch.full((2,), 0.5))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, height, width)` to the same shape."""
        spatial, spectral = self.weights.softmax(dim=0)
        return spatial * self.spa_mamba(features) + spectral * self.spe_mamba(features) + features


class MambaHSIForSemanticSegmentation(S5PreTrainedModel):
    """Segmentation of hyperspectral cubes, pixel by pixel and in their surroundings."""

    config_class = MambaHSIConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = False
    _no_split_modules = ["MambaHSIBlock"]  # noqa: RUF012 - transformers' own form
    _keys_to_ignore_on_load_unexpected = [r"^rec_head\."]  # noqa: RUF012 - transformers' own form

    def __init__(self, config: MambaHSIConfig) -> None:
        super().__init__(config)
        size, groups = config.hidden_size, config.num_groups
        self.patch_embedding = nn.Sequential(
            nn.Conv2d(config.num_channels, size, kernel_size=1), nn.GroupNorm(groups, size), nn.SiLU()
        )
        self.mamba = nn.Sequential(
            MambaHSIBlock(config), nn.AvgPool2d(2), MambaHSIBlock(config), nn.AvgPool2d(2), MambaHSIBlock(config)
        )
        self.upsample = nn.Sequential(
            nn.Upsample(scale_factor=STEP, mode="bilinear", align_corners=True),
            nn.Conv2d(size, size, kernel_size=3, padding=1),
            nn.GroupNorm(groups, size),
            nn.SiLU(),
        )
        self.conv = nn.Conv2d(config.num_channels, size, kernel_size=3, padding=1)
        self.cls_head = nn.Sequential(
            nn.Conv2d(2 * size, size, kernel_size=1),
            nn.GroupNorm(groups, size),
            nn.SiLU(),
            nn.Conv2d(size, config.num_labels, kernel_size=1),
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, SelectiveScanMixer):
            module.init_mamba_weights()
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            initialise_as_torch(module)
        elif isinstance(module, nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, MambaHSIBlock):
            nn.init.constant_(module.weights, 0.5)

    @can_return_tuple
    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **kwargs: object
    ) -> S5SegmenterOutput | tuple:
        """Segment cubes of any size.

        Args:
            pixel_values: stretched bands `(batch, bands, height, width)`, about 0 to 1.
            labels: int64 `(batch, height, width)`; 255 is not counted.

        Returns:
            `logits` `(batch, classes, height, width)`, and `loss` with labels.

        Raises:
            ValueError: for a wrong shape.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1] != self.config.num_channels:
            raise ValueError(
                f"expected pixel_values (batch, {self.config.num_channels}, height, width), got "
                f"{tuple(pixel_values.shape)}"
            )
        height, width = pixel_values.shape[2:]
        inside = [-(-side // STEP) * STEP for side in (height, width)]
        cube = functional.interpolate(pixel_values, size=inside, mode="nearest")
        features = functional.interpolate(
            self.upsample(self.mamba(self.patch_embedding(cube))), size=(height, width), mode="nearest"
        )
        logits = self.cls_head(torch.cat([features, self.conv(pixel_values)], dim=1))
        loss = None if labels is None else functional.cross_entropy(logits.float(), labels, ignore_index=255)
        return S5SegmenterOutput(loss=loss, logits=logits)
