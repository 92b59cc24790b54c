"""UPerNet decoder (Xiao et al., arXiv 1807.10221) with the layer order of the official S5 release."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .upsampled_convolution import convolve_upsampled


class ConvNormActivation(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, feature_map: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.norm(self.conv(feature_map)))


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
        self.pool_convs = nn.ModuleList(ConvNormActivation(in_channels[-1], channels, 1) for _ in pool_scales)
        self.pool_bottleneck = ConvNormActivation(in_channels[-1] + len(pool_scales) * channels, channels, 3)
        self.lateral_convs = nn.ModuleList(ConvNormActivation(width, channels, 1) for width in in_channels[:-1])
        self.level_convs = nn.ModuleList(ConvNormActivation(channels, channels, 3) for _ in in_channels[:-1])
        self.fusion = ConvNormActivation(len(in_channels) * channels, channels, 3)
        # `conv_seg` of the official decoder: in every checkpoint, never used; kept for the way back.
        self.register_buffer("unused_classifier_weight", torch.zeros(1, channels, 1, 1))
        self.register_buffer("unused_classifier_bias", torch.zeros(1))

    def forward(self, feature_maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Maps `(batch, in_channels[k], ...)`, finest first, to one map `(batch, channels, ...)` at the finest."""
        self._check_batch_norm(feature_maps[-1])
        # Convolutions are faster on maps that are channels last in memory, most of all in bfloat16.
        feature_maps = [level.contiguous(memory_format=torch.channels_last) for level in feature_maps]
        levels = [conv(level) for conv, level in zip(self.lateral_convs, feature_maps, strict=False)]
        levels.append(self._pool(feature_maps[-1]))
        for finer in range(len(levels) - 2, -1, -1):
            levels[finer] = levels[finer] + resize_like(levels[finer + 1], levels[finer])
        fine = [conv(level) for conv, level in zip(self.level_convs, levels, strict=False)]
        fine.append(levels[-1])
        return self._fuse(fine)

    def _fuse(self, levels: Sequence[torch.Tensor]) -> torch.Tensor:
        """The fusing convolution over all levels at the size of the finest.

        The official decoder enlarges all levels, stacks them and convolves the stack. The sum of the levels'
        convolutions is the same, and a coarse level's is taken before it is enlarged: a third of the operations.
        """
        finest = levels[0]
        weights = self.fusion.conv.weight.split([level.shape[1] for level in levels], dim=1)
        fused = functional.conv2d(finest, weights[0], padding=1)
        for level, weight in zip(levels[1:], weights[1:], strict=True):
            fused = fused + convolve_upsampled(level, weight, finest.shape[2:])
        return functional.relu(self.fusion.norm(fused))

    def _pool(self, coarsest: torch.Tensor) -> torch.Tensor:
        pooled = [
            resize_like(conv(self.pool_to_grid(coarsest, scale)), coarsest)
            for scale, conv in zip(self.pool_scales, self.pool_convs, strict=True)
        ]
        return self.pool_bottleneck(torch.cat([coarsest, *pooled], dim=1))

    def pool_to_grid(self, feature_map: torch.Tensor, scale: int) -> torch.Tensor:
        """Means over a grid of `scale` x `scale` bins; an exporter may have to write it otherwise."""
        return functional.adaptive_avg_pool2d(feature_map, scale)

    def _check_batch_norm(self, coarsest: torch.Tensor) -> None:
        norm = self.pool_convs[0].norm
        alone = coarsest.shape[0] == 1 and 1 in self.pool_scales
        if alone and norm.training and type(norm) is nn.BatchNorm2d:
            raise ValueError(
                "training needs at least two images per task in a batch: the pyramid pooling reduces an image to one "
                "value per channel, and batch norm cannot normalise a single value; got one image"
            )


def resize_like(feature_map: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Bilinear resize (align_corners False, as everywhere inside the decoder) to the height and width of `other`."""
    return functional.interpolate(feature_map, size=other.shape[2:], mode="bilinear", align_corners=False)
