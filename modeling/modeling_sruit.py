"""SRUIT (arXiv 2502.11468) as we read it: no code is published, and the paper leaves layers and weights open.

Images of two dates are brought into one latent space, from which either date can be decoded. Fixed by the paper: two
generators that share their high-level layers, no random numbers, and cycles across the dates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_sruit import SRUITConfig
from .pretrained_model import S5PreTrainedModel

DATES = ("before", "after")
STEP = 4
"""Height and width inside the network are multiples of this."""
LEAST_SIDE = 2 * STEP
"""Smaller images are padded: a mirrored border needs two values in the latent space."""


@dataclass
class SRUITOutput(ModelOutput):
    """An image with the look of a date.

    Attributes:
        pixel_values: `(batch, channels, height, width)`, -1 to 1.
    """

    pixel_values: torch.Tensor | None = None


class MirroredConv(nn.Conv2d):
    """A convolution without stride whose border is mirrored.

    Slices and flips, as torch's own reflection has no deterministic gradient on GPUs.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, height, width)` to the same height and width."""
        width = self.kernel_size[0] // 2
        for axis in (2, 3):
            first = features.narrow(axis, 1, width).flip(axis)
            last = features.narrow(axis, features.shape[axis] - 1 - width, width).flip(axis)
            features = torch.cat([first, features, last], dim=axis)
        return super().forward(features)


class ResidualBlock(nn.Module):
    """Two convolutions that add to the features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            MirroredConv(channels, channels, 3, bias=False),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            MirroredConv(channels, channels, 3, bias=False),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, height, width)` to the same shape."""
        return features + self.layers(features)


def residual_blocks(channels: int, count: int) -> nn.Sequential:
    """So many residual blocks."""
    return nn.Sequential(*[ResidualBlock(channels) for _ in range(count)])


def make_encoder(config: SRUITConfig) -> nn.Sequential:
    """The part of an encoder that is a date's own: images to features of a quarter of their sides."""
    size = config.hidden_size
    layers = [MirroredConv(config.num_channels, size, 7, bias=False), nn.InstanceNorm2d(size), nn.ReLU()]
    for channels in (size, 2 * size):
        layers.append(nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=False))
        layers += [nn.InstanceNorm2d(2 * channels), nn.ReLU()]
    return nn.Sequential(*layers, residual_blocks(STEP * size, config.num_own_blocks))


def make_decoder(config: SRUITConfig) -> nn.Sequential:
    """The part of a decoder that is a date's own: features to images in -1..1."""
    size = config.hidden_size
    layers: list[nn.Module] = [residual_blocks(STEP * size, config.num_own_blocks)]
    for channels in (2 * size, size):
        layers.append(nn.ConvTranspose2d(2 * channels, channels, 4, stride=2, padding=1, bias=False))
        layers += [nn.InstanceNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers, MirroredConv(size, config.num_channels, 7), nn.Tanh())


class SRUITModel(S5PreTrainedModel):
    """Gives images of one date the look of the other: season, light, or sensor."""

    config_class = SRUITConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = False
    _no_split_modules = ["ResidualBlock"]  # noqa: RUF012 - transformers' own form

    def __init__(self, config: SRUITConfig) -> None:
        super().__init__(config)
        self.encoders = nn.ModuleDict({date: make_encoder(config) for date in DATES})
        self.shared_encoder = residual_blocks(STEP * config.hidden_size, config.num_shared_blocks)
        self.shared_decoder = residual_blocks(STEP * config.hidden_size, config.num_shared_blocks)
        self.decoders = nn.ModuleDict({date: make_decoder(config) for date in DATES})
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            if module.bias is not None:  # the last ones; elsewhere a norm would take a bias out again
                nn.init.zeros_(module.bias)

    def encode(self, pixel_values: torch.Tensor, date: str) -> torch.Tensor:
        """Images of a date, sides multiples of 4 and at least 8, in the latent space of both.

        Args:
            pixel_values: `(batch, channels, height, width)`, -1 to 1.
            date: that the images are of, `before` or `after`.

        Returns:
            `(batch, 4 * hidden_size, height / 4, width / 4)`.
        """
        return self.shared_encoder(self.encoders[date](pixel_values))

    def decode(self, features: torch.Tensor, date: str) -> torch.Tensor:
        """Images `(batch, channels, height, width)`, -1 to 1, of a date, from the latent space."""
        return self.decoders[date](self.shared_decoder(features))

    def translate(self, pixel_values: torch.Tensor, to: str = "after") -> torch.Tensor:
        """Images of the other date with the look of this one.

        Args:
            pixel_values: `(batch, channels, height, width)` of any size, -1 to 1.
            to: date whose look the images get; they are of the other one.

        Returns:
            The same shape, -1 to 1.

        Raises:
            ValueError: for a wrong shape or an unknown date.
        """
        if to not in DATES:
            raise ValueError(f"to is {to!r}, expected before or after")
        if pixel_values.ndim != 4 or pixel_values.shape[1] != self.config.num_channels:
            raise ValueError(
                f"expected pixel_values (batch, {self.config.num_channels}, height, width), got "
                f"{tuple(pixel_values.shape)}"
            )
        height, width = pixel_values.shape[2:]
        down, right = (max(LEAST_SIDE, -(-side // STEP) * STEP) - side for side in (height, width))
        padded = functional.pad(pixel_values, (0, right, 0, down), mode="replicate")
        features = self.encode(padded, DATES[1 - DATES.index(to)])
        return self.decode(features, to)[:, :, :height, :width]

    @can_return_tuple
    def forward(self, pixel_values: torch.Tensor, to: str = "after", **kwargs: object) -> SRUITOutput | tuple:
        """As `translate`, in an output of transformers."""
        return SRUITOutput(pixel_values=self.translate(pixel_values, to))
