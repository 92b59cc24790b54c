"""The encoder of SegFormer (Mix Transformer, arXiv 2105.15203) as a backbone, which transformers does not offer."""

from typing import Any

import torch
from transformers import SegformerModel
from transformers.modeling_outputs import BackboneOutput
from transformers.models.segformer.modeling_segformer import SegformerPreTrainedModel

from .configuration_s5_segformer import S5SegformerConfig

try:
    from transformers.backbone_utils import BackboneMixin
except ImportError:  # transformers < 5.3 keeps it elsewhere
    from transformers.utils.backbone_utils import BackboneMixin


class S5SegformerBackbone(BackboneMixin, SegformerPreTrainedModel):
    """Four maps at strides 4, 8, 16 and 32. Checkpoints of SegFormer and of its encoders (`nvidia/mit-b2`) fit.

    ```python
    >>> import torch, s5_hf
    >>> from transformers import AutoBackbone, AutoConfig
    >>> config = AutoConfig.for_model("s5_segformer", hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
    >>> backbone = AutoBackbone.from_config(config).eval()
    >>> [tuple(feature_map.shape) for feature_map in backbone(torch.zeros(1, 3, 64, 64)).feature_maps]
    [(1, 8, 16, 16), (1, 16, 8, 8), (1, 24, 4, 4), (1, 32, 2, 2)]

    ```
    """

    config_class = S5SegformerConfig
    # Behind the encoder of a checkpoint lies a classifier or a decoder, for which a backbone has no use.
    _keys_to_ignore_on_load_unexpected = [r"^classifier\.", r"^decode_head\."]  # noqa: RUF012 - transformers' own form

    def __init__(self, config: S5SegformerConfig) -> None:
        super().__init__(config)
        if hasattr(self, "_init_backbone"):  # transformers < 5.3; later versions do it in BackboneMixin.__init__
            self._init_backbone(config)
        self.num_features = [config.num_channels, *config.hidden_sizes]
        self.segformer = SegformerModel(config)
        self.post_init()

    def forward(
        self,
        pixel_values: torch.Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BackboneOutput:
        """Maps of the chosen stages for images `(batch, channels, height, width)`."""
        outputs = self.segformer(
            pixel_values, output_hidden_states=True, output_attentions=output_attentions, return_dict=True
        )
        maps = dict(zip(self.stage_names[1:], outputs.hidden_states, strict=True))
        return BackboneOutput(
            feature_maps=tuple(maps[name] for name in self.out_features),
            hidden_states=outputs.hidden_states if output_hidden_states else None,
            attentions=outputs.attentions,
        )


__all__ = ["S5SegformerBackbone"]
