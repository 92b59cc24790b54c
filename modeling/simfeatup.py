"""SimFeatUp: features of a vision transformer at the size of the image, guided by the image.

Source: SegEarth-OV (arXiv 2410.01768, section 3.2) and its official code; joint bilateral up-sampling as in FeatUp
(arXiv 2403.10516). The names of the parameters are those of the published checkpoints.
"""

import torch
from torch import nn
from torch.nn import functional

from .adaptive_convolution import adaptive_convolution, neighbour_products

RADII = {"jbu_one": 5, "jbu_stack": 3}
STEPS = 4  # doublings, to 16 times the grid
KEY_CHANNELS = 32
RESIDUAL = 0.1  # share of the learnt corrections
TEMPERATURES = (1e-4, 1e4)
SMALLEST_SUM = 1e-7


class JointBilateralUpsampler(nn.Module):
    """Doubles a feature map; neighbours count by their distance and by how alike the guidance looks there.

    Args:
        radius: of the kernels, in pixels of the doubled map.
        guidance_channels: of the guidance.
    """

    def __init__(self, radius: int, guidance_channels: int = 3) -> None:
        super().__init__()
        self.radius = radius
        taps = (2 * radius + 1) ** 2
        self.range_temp = nn.Parameter(torch.zeros(()))
        self.sigma_spatial = nn.Parameter(torch.ones(()))
        self.range_proj = bottleneck(guidance_channels, KEY_CHANNELS)
        self.fixup_proj = bottleneck(taps + guidance_channels, taps)

    def forward(self, source: torch.Tensor, guidance: torch.Tensor) -> torch.Tensor:
        """Double a map.

        Args:
            source: `(batch, channels, height, width)`.
            guidance: `(batch, guidance_channels, 2 * height, 2 * width)`.

        Returns:
            `(batch, channels, 2 * height, 2 * width)`.

        Raises:
            ValueError: if the doubled map is not larger than the radius.
        """
        if min(guidance.shape[2:]) <= self.radius:
            raise ValueError(
                f"a grid of {tuple(source.shape[2:])} is too small for kernels of radius {self.radius}: expected "
                f"at least {smallest_grid(self.radius)} rows and columns"
            )
        finer = functional.interpolate(source, size=guidance.shape[2:], mode="bicubic", align_corners=False)
        finer = functional.pad(finer, (self.radius,) * 4, mode="reflect")
        return adaptive_convolution(finer, self.kernels(guidance))

    def kernels(self, guidance: torch.Tensor) -> torch.Tensor:
        """The kernel of every pixel of the guidance, `(batch, taps, height, width)`, taps in rows."""
        kernels = self.range_kernels(guidance) * self.spatial_kernel()
        kernels = kernels / kernels.sum(dim=1, keepdim=True).clamp(min=SMALLEST_SUM)
        # The correction is added to weights whose sum is 1, and they are not normalised again.
        return kernels + RESIDUAL * self.fixup_proj(torch.cat([kernels, guidance], dim=1))

    def range_kernels(self, guidance: torch.Tensor) -> torch.Tensor:
        """How alike a pixel and its neighbours look: a softmax over the taps, `(batch, taps, height, width)`."""
        keys = self.range_proj(guidance)
        products = neighbour_products(keys, functional.pad(keys, (self.radius,) * 4, mode="reflect"))
        return (self.range_temp.exp().clamp(*TEMPERATURES) * products).softmax(dim=1)

    def spatial_kernel(self) -> torch.Tensor:
        """The weight of each tap by its distance, `(1, taps, 1, 1)`."""
        axis = torch.linspace(-1, 1, 2 * self.radius + 1, device=self.sigma_spatial.device)
        squares = axis[:, None] ** 2 + axis**2
        return torch.exp(-squares / (2 * self.sigma_spatial**2)).view(1, -1, 1, 1).to(self.sigma_spatial.dtype)


class SimFeatUpUpsampler(nn.Module):
    """Patch features at 16 times their grid.

    ```python
    >>> import torch, s5_hf
    >>> from s5_hf.modeling import SimFeatUpUpsampler
    >>> upsampler = SimFeatUpUpsampler(channels=8).eval()
    >>> upsampler(torch.zeros(2, 8, 3, 4), torch.zeros(2, 3, 48, 64)).shape
    torch.Size([2, 8, 48, 64])

    ```

    Args:
        channels: of the features.
        kind: `jbu_one`, one module used four times, or `jbu_stack`, four modules.
        guidance_channels: of the image.

    Raises:
        ValueError: for another kind.
    """

    def __init__(self, channels: int, kind: str = "jbu_one", guidance_channels: int = 3) -> None:
        super().__init__()
        if kind not in RADII:
            raise ValueError(f"kind is {kind!r}, expected one of {', '.join(RADII)}")
        self.kind = kind
        for name in ["up"] if kind == "jbu_one" else [f"up{step}" for step in range(1, STEPS + 1)]:
            setattr(self, name, JointBilateralUpsampler(RADII[kind], guidance_channels))
        self.fixup_proj = nn.Sequential(nn.Dropout2d(0.2), nn.Conv2d(channels, channels, kernel_size=1))

    @property
    def smallest_grid(self) -> int:
        """How many rows and columns a map needs at least."""
        return smallest_grid(RADII[self.kind])

    def forward(self, source: torch.Tensor, guidance: torch.Tensor) -> torch.Tensor:
        """Up-sample features.

        Args:
            source: `(batch, channels, height, width)`.
            guidance: the normalised images `(batch, guidance_channels, ...)`, of any size.

        Returns:
            `(batch, channels, 16 * height, 16 * width)`.

        Raises:
            ValueError: if the grid is smaller than `smallest_grid`.
        """
        dropout, projection = self.fixup_proj
        # The last step of the official code, features + 0.1 * projection(dropout(features)), mixes channels, and all
        # others mix pixels: it costs 256 times less before them. Only its offset has to come last.
        source = source + RESIDUAL * functional.conv2d(dropout(source), projection.weight)
        for step in range(1, STEPS + 1):
            module = self.up if self.kind == "jbu_one" else getattr(self, f"up{step}")
            size = (2 * source.shape[2], 2 * source.shape[3])
            source = module(source, functional.adaptive_avg_pool2d(guidance, size))
        return source + RESIDUAL * projection.bias.view(-1, 1, 1)


def bottleneck(channels: int, width: int) -> nn.Sequential:
    """Two convolutions of single pixels with dropout between them."""
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel_size=1),
        nn.GELU(),
        nn.Dropout2d(0.1),
        nn.Conv2d(width, width, kernel_size=1),
    )


def smallest_grid(radius: int) -> int:
    """The fewest rows that can be doubled: reflection reaches `radius` pixels into the doubled map."""
    return radius // 2 + 1


__all__ = ["SimFeatUpUpsampler"]
