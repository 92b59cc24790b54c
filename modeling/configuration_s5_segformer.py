"""Configuration of SegFormer's encoder as a backbone."""

from typing import Any

from transformers import SegformerConfig

try:
    from transformers.backbone_utils import BackboneConfigMixin
except ImportError:  # transformers < 5.3 keeps it elsewhere
    from transformers.utils.backbone_utils import BackboneConfigMixin


class S5SegformerConfig(BackboneConfigMixin, SegformerConfig):
    """As `SegformerConfig`, for [`S5SegformerBackbone`].

    Args:
        out_features, out_indices: stages of the backbone; by default all four (1 to 4).
        **kwargs: arguments of `SegformerConfig`.
    """

    model_type = "s5_segformer"

    def __init__(
        self, out_features: list[str] | None = None, out_indices: list[int] | None = None, **kwargs: Any
    ) -> None:
        kwargs.pop("stage_names", None)
        super().__init__(**kwargs)
        stages = range(1, self.num_encoder_blocks + 1)
        self.stage_names = ["stem", *(f"stage{stage}" for stage in stages)]
        if out_features is not None:
            self.out_features = list(out_features)
        else:
            self.out_indices = list(out_indices or stages)


__all__ = ["S5SegformerConfig"]
