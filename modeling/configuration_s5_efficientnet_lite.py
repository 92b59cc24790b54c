"""Configuration of EfficientNet-Lite as a backbone."""

import math
from typing import Any

from transformers import PretrainedConfig

try:
    from transformers.backbone_utils import BackboneConfigMixin
except ImportError:  # transformers < 5.3 keeps it elsewhere
    from transformers.utils.backbone_utils import BackboneConfigMixin

STEM_CHANNELS = 32
"""Lite keeps them in every size."""

# One row a group of blocks, of Table 1 of the EfficientNet paper: blocks, kernel, stride, expansion, channels.
BLOCK_GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
GROUPS_OF_STAGES = ((0, 1), (2,), (3, 4), (5, 6))
"""Which of them end at strides 4, 8, 16 and 32."""


class S5EfficientNetLiteConfig(BackboneConfigMixin, PretrainedConfig):
    """EfficientNet-Lite: EfficientNet (arXiv 1905.11946) without squeeze-and-excitation and with ReLU6.

    Args:
        width_factor: of the numbers of channels: 1.0 for Lite0 and Lite1, 1.1, 1.2 and 1.4 for Lite2 to Lite4.
        depth_factor: of the numbers of blocks, except in the first and the last group: 1.0, 1.1, 1.2, 1.4, 1.8.
        num_channels: of the images.
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0 over the blocks.
        batch_norm_eps: of the batch norms.
        initializer_range: of transformers' initialisation, which convolutions do not use.
        out_features, out_indices: stages of the backbone; by default all four (1 to 4).
        **kwargs: see `PretrainedConfig`.

    Raises:
        ValueError: if a factor is not positive.
    """

    model_type = "s5_efficientnet_lite"

    def __init__(
        self,
        width_factor: float = 1.0,
        depth_factor: float = 1.0,
        num_channels: int = 3,
        drop_path_rate: float = 0.0,
        batch_norm_eps: float = 1e-3,
        initializer_range: float = 0.02,
        out_features: list[str] | None = None,
        out_indices: list[int] | None = None,
        **kwargs: Any,
    ) -> None:
        for name, factor in (("width_factor", width_factor), ("depth_factor", depth_factor)):
            if not factor > 0:
                raise ValueError(f"{name} must be positive, got {factor}")
        self.width_factor = width_factor
        self.depth_factor = depth_factor
        self.num_channels = num_channels
        self.drop_path_rate = drop_path_rate
        self.batch_norm_eps = batch_norm_eps
        self.initializer_range = initializer_range
        kwargs.pop("stage_names", None)
        super().__init__(**kwargs)
        self.stage_names = ["stem", *(f"stage{stage}" for stage in range(1, len(GROUPS_OF_STAGES) + 1))]
        if out_features is not None:
            self.out_features = list(out_features)
        else:
            self.out_indices = list(out_indices or range(1, len(self.stage_names)))

    @property
    def hidden_sizes(self) -> list[int]:
        """Channels of the maps at strides 4, 8, 16 and 32."""
        return [scaled_channels(BLOCK_GROUPS[groups[-1]][-1], self.width_factor) for groups in GROUPS_OF_STAGES]


def scaled_channels(channels: int, factor: float) -> int:
    """The multiple of 8 next to `channels * factor`, unless it is more than a tenth smaller than that."""
    scaled = channels * factor
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def scaled_blocks(group: int, factor: float) -> int:
    """Blocks of a group: the first and the last group of Lite are not scaled."""
    blocks = BLOCK_GROUPS[group][0]
    return blocks if group in (0, len(BLOCK_GROUPS) - 1) else math.ceil(blocks * factor)


__all__ = ["S5EfficientNetLiteConfig"]
