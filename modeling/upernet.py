"""UPerNet decoder (Xiao et al., arXiv 1807.10221) with the layer order of the official S5 release."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .deterministic_operations import pool_to_grid
from .upsampled_convolution import convolve_upsampled


class BatchNorm2dOfAnyBatch(nn.BatchNorm2d):
    """Batch norm that also trains on a single value per channel, which has no variance to divide by.

    One image, reduced to 1 x 1 by the pyramid pooling, is normalised with the running statistics, as in evaluation,
    and leaves them as they are. Every other batch is normalised as by `nn.BatchNorm2d`.
    """

    def forward(self, feature_map: torch.Tensor) -> torch.Tensor:
        if not self.training or feature_map.numel() > feature_map.shape[1]:
            return super().forward(feature_map)
        return functional.batch_norm(
            feature_map, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


class PyramidConvolution(nn.Conv2d):
    """A 3 x 3 convolution without bias, padded by 1, over a pyramid: all levels enlarged to the finest and stacked.

    The sum of the levels' convolutions is the same as the convolution of the stack, and a coarse level's is taken
    before it is enlarged: a third of the operations. The constructor is that of `nn.Conv2d`, because adapters make
    their parts with it.
    """

    def forward(self, pyramid: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
        """Levels `(batch, channels, ...)`, finest first, or their stack (as adapters give it), to one map."""
        if isinstance(pyramid, torch.Tensor):
            return super().forward(pyramid)
        finest, *coarser = pyramid
        weights = self.weight.split([level.shape[1] for level in pyramid], dim=1)
        fused = functional.conv2d(finest, weights[0], padding=1)
        for level, weight in zip(coarser, weights[1:], strict=True):
            fused = fused + convolve_upsampled(level, weight, finest.shape[2:])
        return fused


class ConvNormActivation(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = BatchNorm2dOfAnyBatch(conv.out_channels)

    def forward(self, feature_map: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
        return functional.relu(self.norm(self.conv(feature_map)))


def convolution(in_channels: int, out_channels: int, kernel_size: int, kind: type[nn.Conv2d] = nn.Conv2d) -> nn.Conv2d:
    """A convolution without bias that keeps height and width."""
    return kind(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)


class UPerNetDecoder(nn.Module):
    """Pyramid pooling on the coarsest map, top-down path, fusion of all levels at the finest.

    Args:
        in_channels: channels of the maps, finest first.
        channels: width of the decoder.
        pool_scales: grid sizes of the pyramid pooling.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, pool_scales: Sequence[int]) -> None:
        super().__init__()
        self.pool_scales = tuple(pool_scales)
        *finer, coarsest = in_channels
        pooled = coarsest + len(pool_scales) * channels
        self.pool_convs = nn.ModuleList(ConvNormActivation(convolution(coarsest, channels, 1)) for _ in pool_scales)
        self.pool_bottleneck = ConvNormActivation(convolution(pooled, channels, 3))
        self.lateral_convs = nn.ModuleList(ConvNormActivation(convolution(width, channels, 1)) for width in finer)
        self.level_convs = nn.ModuleList(ConvNormActivation(convolution(channels, channels, 3)) for _ in finer)
        self.fusion = ConvNormActivation(convolution(len(in_channels) * channels, channels, 3, PyramidConvolution))
        # `conv_seg` of the official decoder: in every checkpoint, never used; kept to convert back.
        self.register_buffer("unused_classifier_weight", torch.zeros(1, channels, 1, 1))
        self.register_buffer("unused_classifier_bias", torch.zeros(1))

    def forward(self, feature_maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Maps `(batch, in_channels[k], ...)`, finest first, to one map `(batch, channels, ...)` at the finest."""
        # Convolutions are faster on maps that are channels last in memory, most of all in bfloat16.
        feature_maps = [level.contiguous(memory_format=torch.channels_last) for level in feature_maps]
        levels = [conv(level) for conv, level in zip(self.lateral_convs, feature_maps, strict=False)]
        levels.append(self._pool(feature_maps[-1]))
        for finer in range(len(levels) - 2, -1, -1):
            levels[finer] = levels[finer] + resize_like(levels[finer + 1], levels[finer])
        fine = [conv(level) for conv, level in zip(self.level_convs, levels, strict=False)]
        fine.append(levels[-1])
        if isinstance(self.fusion.conv, PyramidConvolution):
            return self.fusion(fine)
        # Something has taken the convolution's place, such as an adapter: it gets one map, as officially.
        return self.fusion(torch.cat([fine[0], *(resize_like(level, fine[0]) for level in fine[1:])], dim=1))

    def _pool(self, coarsest: torch.Tensor) -> torch.Tensor:
        pooled = [
            resize_like(conv(self.pool_to_grid(coarsest, scale)), coarsest)
            for scale, conv in zip(self.pool_scales, self.pool_convs, strict=True)
        ]
        return self.pool_bottleneck(torch.cat([coarsest, *pooled], dim=1))

    def pool_to_grid(self, feature_map: torch.Tensor, scale: int) -> torch.Tensor:
        """Means over a grid of `scale` x `scale` bins; an exporter may have to write it otherwise."""
        return pool_to_grid(feature_map, scale)


def resize_like(feature_map: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Bilinear resize (align_corners False, as everywhere inside the decoder) to the height and width of `other`."""
    return functional.interpolate(feature_map, size=other.shape[2:], mode="bilinear", align_corners=False)
