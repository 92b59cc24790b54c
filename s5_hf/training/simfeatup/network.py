"""What is trained to up-sample: the up-sampler, and the parts of its losses that are thrown away afterwards.

Source: SegEarth-OV (arXiv 2410.01768), section 3.2, its official code, and FeatUp (arXiv 2403.10516). The names of the
parameters are those of the published checkpoint.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ...modeling import SimFeatUpUpsampler
from ..selective_checkpointing import checkpointing_arguments
from .jitter import Jitter, random_jitter
from .recipe import SimFeatUpSettings

BLUR_SIDE, BLUR_SIGMA = 5, 1.0
LEFT_OUT = 0.2  # share of the patches that are averaged without looking at them
UNCERTAINTY_OFFSET, SMALLEST_UNCERTAINTY = 0.1, 1e-4

Featurize = Callable[[torch.Tensor], torch.Tensor]
"""Frozen features `(batch, channels, rows, columns)` of normalised images `(batch, 3, height, width)`."""


@dataclass(frozen=True)
class Draws:
    """The random numbers of one copy of one image.

    Attributes:
        jitter: how the copy is made.
        directions: `(channels, projections)`, columns of length 1.
        patch_numbers: uniform `(rows, columns)`; patches with one below `LEFT_OUT` are averaged blindly.
    """

    jitter: Jitter
    directions: torch.Tensor
    patch_numbers: torch.Tensor


class AttentionDownsampler(nn.Module):
    """Averages the blurred features of every patch with weights that depend on them.

    Args:
        channels: of the features.
        patch_size: in pixels.
    """

    def __init__(self, channels: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.attention_net = nn.Sequential(nn.Dropout(0.2), nn.Linear(channels, 1))
        self.w = nn.Parameter(1 + 0.01 * torch.randn(patch_size, patch_size))
        self.b = nn.Parameter(0.01 * torch.randn(patch_size, patch_size))

    def forward(self, features: torch.Tensor, patch_numbers: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, height, width)`, sides in whole patches, to one pixel per patch."""
        side = self.patch_size
        patches = blur(features).unflatten(3, (-1, side)).unflatten(2, (-1, side)).permute(0, 2, 4, 3, 5, 1)
        logits = self.attention_net(patches).squeeze(-1)  # (batch, rows, columns, side, side)
        logits = logits * (patch_numbers > LEFT_OUT)[..., None, None]
        weights = (logits * self.w + self.b).flatten(3).softmax(dim=-1)
        return torch.einsum("brcp,brcpd->bdrc", weights, patches.flatten(3, 4))


class Uncertainty(nn.Module):
    """How uncertain a feature is: the deviation of its error.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Conv2d(channels, 1, kernel_size=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, rows, columns)` to `(batch, 1, rows, columns)`."""
        return (self.net(features) + UNCERTAINTY_OFFSET).exp().clamp(min=SMALLEST_UNCERTAINTY)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of `(batch, channels, height, width)`."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        return super().forward(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SimFeatUpNetwork(nn.Module):
    """The up-sampler and its losses.

    Features of a copy of an image must be what the up-sampled features of the image give, once they are copied in the
    same way and down-sampled; and an up-sampled feature must tell the colour of its pixel.

    Args:
        channels: of the features.
        patch_size: of the featurizer in pixels.
        settings: kind of the up-sampler, copies and weights.
    """

    def __init__(self, channels: int, patch_size: int, settings: SimFeatUpSettings) -> None:
        super().__init__()
        self.settings, self.patch_size = settings, patch_size
        self.upsampler = SimFeatUpUpsampler(channels, settings.upsampler)
        self.downsampler = AttentionDownsampler(channels, patch_size)
        self.scale_net = Uncertainty(channels)
        self.projection_img = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=1),
            ChannelNorm(channels, eps=1e-6),
            nn.GELU(),
            nn.Conv2d(channels, 3, kernel_size=1),
        )

    def forward(self, images: torch.Tensor, seeds: torch.Tensor, featurize: Featurize) -> dict[str, torch.Tensor]:
        """The losses of a batch, means over its images.

        Args:
            images: normalised `(batch, 3, side, side)`, in whole patches.
            seeds: int64 `(batch,)`; all random numbers of an image, dropout included, follow from its own, so that a
                batch gives the same however it is shared among processes.
            featurize: the frozen network.
        """
        features = featurize(images)
        devices = [images.device] if images.device.type == "cuda" else []
        totals: list[torch.Tensor] = []
        for image, low, seed in zip(images.split(1), features.split(1), seeds.tolist(), strict=True):
            with torch.random.fork_rng(devices):
                torch.manual_seed(seed)
                totals.append(torch.stack(self.image_losses(image, low, featurize, seed)))
        reconstruction, content = torch.stack(totals).mean(dim=0)
        return {"reconstruction": reconstruction, "content": content}

    def image_losses(
        self, image: torch.Tensor, features: torch.Tensor, featurize: Featurize, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both losses of an image `(1, 3, side, side)`, means over its copies.

        It is up-sampled once, and copies are made of the result; each is computed again for its gradient, so that
        memory holds one at a time.
        """
        high = self.upsample(features, image)
        generator = torch.Generator().manual_seed(seed)
        losses = [
            checkpoint(
                *(self.copy_losses, high, image, featurize, self.draw(features, image, generator)),
                **checkpointing_arguments("true"),
            )
            for _ in range(self.settings.jitters)
        ]
        reconstruction, content = (torch.stack(parts).mean() for parts in zip(*losses, strict=True))
        return reconstruction, content

    def upsample(self, features: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Features at the size of the image."""
        high = self.upsampler(features, image)
        if high.shape[2:] == image.shape[2:]:
            return high
        return functional.interpolate(high, size=image.shape[2:], mode="bilinear")

    def draw(self, features: torch.Tensor, image: torch.Tensor, generator: torch.Generator) -> Draws:
        """The random numbers of a copy."""
        settings = self.settings
        jitter = random_jitter(image.shape[2], settings.jitter_padding, settings.jitter_zoom, generator)
        directions = torch.randn(features.shape[1], settings.projections, generator=generator)
        numbers = torch.rand(features.shape[2:], generator=generator)
        return Draws(
            jitter, functional.normalize(directions, dim=0).to(features), numbers.to(features.device, torch.float32)
        )

    def copy_losses(
        self, high: torch.Tensor, image: torch.Tensor, featurize: Featurize, draws: Draws
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both losses of a copy: of its features, and of its colours."""
        copied, seen = draws.jitter(high), draws.jitter(image)
        expected = featurize(seen)
        uncertainty = self.scale_net(expected)
        difference = expected - self.downsampler(copied, draws.patch_numbers)
        squares = torch.einsum("bchw,cd->bdhw", difference, draws.directions).square()
        reconstruction = (squares / (2 * uncertainty.square()) + uncertainty.log()).mean()
        content = functional.mse_loss(self.projection_img(copied).tanh(), seen)
        return reconstruction, content


def blur(features: torch.Tensor) -> torch.Tensor:
    """A Gaussian blur, the border reflected."""
    places = torch.arange(BLUR_SIDE, device=features.device, dtype=features.dtype) - BLUR_SIDE // 2
    weights = (-(places**2) / (2 * BLUR_SIGMA**2)).exp()
    weights = (weights / weights.sum()).expand(features.shape[1], 1, BLUR_SIDE)
    padded = functional.pad(features, (BLUR_SIDE // 2,) * 4, mode="reflect")
    rows = functional.conv2d(padded, weights[:, :, None], groups=features.shape[1])
    return functional.conv2d(rows, weights[..., None], groups=features.shape[1])
