"""Configuration of the ViT of S5.

Source: S5 (arXiv 2508.12409) and its official release; sizes and taps as published.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from transformers import PretrainedConfig

try:
    from transformers.backbone_utils import BackboneConfigMixin
except ImportError:  # transformers < 5.3 keeps it elsewhere
    from transformers.utils.backbone_utils import BackboneConfigMixin

# out_indices count the stem as 0, so block k (0-based) is stage k + 1.
VIT_SIZES: dict[str, dict[str, Any]] = {
    "ti": {"hidden_size": 192, "num_hidden_layers": 12, "num_attention_heads": 3, "out_indices": [4, 6, 8, 12]},
    "s": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "out_indices": [4, 6, 8, 12]},
    "b": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "out_indices": [4, 6, 8, 12]},
    "l": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "out_indices": [8, 12, 16, 24]},
    "h": {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "out_indices": [16, 24, 28, 32]},
}


class S5ViTConfig(BackboneConfigMixin, PretrainedConfig):
    """Configuration of [`S5ViTModel`] and [`S5ViTBackbone`]: the ViT of S5, dense or with task experts.

    Args:
        hidden_size: width of the tokens.
        num_hidden_layers: number of blocks.
        num_attention_heads: heads of the attention; divides `hidden_size`.
        intermediate_size: width inside the feed-forward part; 4 x `hidden_size` if left out.
        hidden_act: activation of the feed-forward part. Eq. 8 of the paper writes ReLU, the official code uses GELU.
        layer_norm_eps: epsilon of the layer norms (MAE pre-training used 1e-6, S5 uses 1e-5).
        attention_dropout: dropout on the attention weights.
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0 over the blocks and acts on the
            feed-forward branch only.
        initializer_range: standard deviation of new weights.
        image_size: height and width in pixels for which the position embeddings are stored. Other sizes work:
            the embeddings are resized at run time.
        patch_size: side of a patch in pixels.
        num_channels: channels of an image.
        num_experts: 0 for a dense ViT; otherwise one expert per task in every feed-forward part (MoE-MDF).
        expert_channels: output channels of fc2 that belong to the expert (256 in every official model).
        use_feature_pyramid: whether the backbone returns the official four-level pyramid (strides 4, 8, 16, 32) or
            the plain maps of its taps (stride 16).
        out_features, out_indices: taps of the backbone, as names (`"stage4"`) or as positions (4).
    """

    model_type = "s5_vit"

    def __init__(
        self,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int | None = None,
        hidden_act: str = "gelu",
        layer_norm_eps: float = 1e-5,
        attention_dropout: float = 0.0,
        drop_path_rate: float = 0.1,
        initializer_range: float = 0.02,
        image_size: int = 512,
        patch_size: int = 16,
        num_channels: int = 3,
        num_experts: int = 0,
        expert_channels: int = 256,
        use_feature_pyramid: bool = True,
        out_features: list[str] | None = None,
        out_indices: list[int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.layer_norm_eps = layer_norm_eps
        self.attention_dropout = attention_dropout
        self.drop_path_rate = drop_path_rate
        self.initializer_range = initializer_range
        self.image_size = image_size
        self.patch_size = patch_size
        self.num_channels = num_channels
        self.num_experts = num_experts
        self.expert_channels = expert_channels
        self.use_feature_pyramid = use_feature_pyramid
        self._check_sizes()

        kwargs.pop("stage_names", None)
        super().__init__(**kwargs)
        self.stage_names = ["stem", *(f"stage{index}" for index in range(1, num_hidden_layers + 1))]
        if out_features is not None:
            self.out_features = list(out_features)
        else:
            self.out_indices = list(out_indices) if out_indices is not None else default_taps(num_hidden_layers)

    @classmethod
    def from_size(cls, size: str, **overrides: Any) -> "S5ViTConfig":
        """The configuration of a published size (`"b"`, `"l"`, `"h"`) or of a small one (`"ti"`, `"s"`).

        Args:
            size: name of the size.
            **overrides: arguments of the class in place of the size's own. Another depth brings the taps of that
                depth with it, unless they are given.

        Raises:
            ValueError: if the size is not known; the message lists the known ones.
        """
        if size not in VIT_SIZES:
            raise ValueError(f"unknown ViT size {size!r}; known sizes: {', '.join(VIT_SIZES)}")
        settings = dict(VIT_SIZES[size])
        if {"num_hidden_layers", "out_features", "out_indices"} & set(overrides):
            settings.pop("out_indices")
        return cls(**{**settings, **overrides})

    def _check_sizes(self) -> None:
        sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size", "num_channels")
        require_whole_numbers(self, sizes)
        if self.intermediate_size is None:
            self.intermediate_size = 4 * self.hidden_size
        require_whole_numbers(self, ("intermediate_size",))
        require_whole_numbers(self, ("num_experts",), least=0)
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}")
        if self.num_experts:
            require_whole_numbers(self, ("expert_channels",))
        if self.num_experts and not 0 < self.expert_channels < self.hidden_size:
            raise ValueError(
                f"expert_channels must lie between 1 and hidden_size - 1 = {self.hidden_size - 1}, "
                f"got {self.expert_channels}"
            )


def default_taps(num_hidden_layers: int) -> list[int]:
    """Taps (as `out_indices`) of a ViT of this depth: the published ones where there are, else the four quarters."""
    for size in VIT_SIZES.values():
        if size["num_hidden_layers"] == num_hidden_layers:
            return list(size["out_indices"])
    return sorted({max(1, round(num_hidden_layers * quarter / 4)) for quarter in range(1, 5)})


def default_dpt_taps(num_hidden_layers: int) -> list[int]:
    """Taps (as `out_indices`) of a ViT of this depth under a DPT decoder: UniMatch V2's, else the four quarters."""
    quarters = sorted({max(1, round(num_hidden_layers * quarter / 4)) for quarter in range(1, 5)})
    return {24: [5, 12, 18, 24]}.get(num_hidden_layers, quarters)


def require_whole_numbers(config: PretrainedConfig, names: Sequence[str], least: int = 1) -> None:
    """Raise a ValueError for an attribute that is not a whole number, or is below `least`."""
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} is {value!r}, expected a whole number from {least} on")


__all__ = ["S5ViTConfig", "VIT_SIZES"]
