"""Mask2Former's two decoders, of transformers, as SegEarth-R1 uses them: one query that is given, and one mask."""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import Mask2FormerConfig
from transformers import initialization as init
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerMaskedAttentionDecoder,
    Mask2FormerPixelDecoder,
    Mask2FormerPreTrainedModel,
    Mask2FormerSinePositionEmbedding,
)

GROUPS = 32


class BiasedPixelDecoder(Mask2FormerPixelDecoder):
    """As transformers', but the convolutions of the finest level have a bias, and the first of them an activation."""

    def __init__(self, config: Mask2FormerConfig, feature_channels: Sequence[int]) -> None:
        super().__init__(config, feature_channels)
        channels = config.feature_size
        self.adapter_1 = nn.Sequential(
            nn.Conv2d(feature_channels[0], channels, kernel_size=1), nn.GroupNorm(GROUPS, channels), nn.ReLU()
        )
        self.layer_1 = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=3, padding=1), nn.GroupNorm(GROUPS, channels), nn.ReLU()
        )
        # transformers keeps these lists beside the named layers, and works with the lists.
        self.lateral_convolutions, self.output_convolutions = [self.adapter_1], [self.layer_1]


class QueryMaskDecoder(Mask2FormerPreTrainedModel):
    """Masks of one query per image.

    Args:
        config: of both decoders.
        feature_channels: of the four feature maps, the finest first.
    """

    def __init__(self, config: Mask2FormerConfig, feature_channels: Sequence[int]) -> None:
        super().__init__(config)
        self.pixel_decoder = BiasedPixelDecoder(config, list(feature_channels))
        self.level_embed = nn.Embedding(self.pixel_decoder.num_feature_levels, config.hidden_dim)
        self.decoder = Mask2FormerMaskedAttentionDecoder(config)
        self.positions = Mask2FormerSinePositionEmbedding(config.hidden_dim // 2, normalize=True)
        self.post_init()

    def _initialize_weights(self, module: nn.Module, *unused: object, **also_unused: object) -> None:
        # Classes from outside of transformers are told so, and modules without parameters of their own are then passed
        # over. But it is those that start the deformable attention, the layers of the decoder and the heads.
        super()._initialize_weights(module)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            # As Mask2Former's own code starts what is left of the pixel decoder. transformers draws with a deviation
            # of 0.02, which is for wide networks: the masks of narrow ones hardly differ between queries for long.
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        else:
            super()._init_weights(module)

    def forward(
        self, query: torch.Tensor, feature_maps: Sequence[torch.Tensor], image_rows: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """Logits `(batch, 1, height, width)` at the size of the finest map: before the first layer and after each.

        Args:
            query: `(batch, 1, channels)`.
            feature_maps: four of them, at the strides 4, 8, 16 and 32.
            image_rows: int64 `(batch,)`, to which images the queries belong; to one each by default.
        """
        pixels = self.pixel_decoder(
            list(feature_maps), output_attentions=False, output_hidden_states=False, return_dict=True
        )
        levels, mask_features = pixels.multi_scale_features, pixels.mask_features
        if image_rows is not None:
            levels, mask_features = [level[image_rows] for level in levels], mask_features[image_rows]
        return self.decode(query, levels, mask_features)

    def decode(
        self, query: torch.Tensor, levels: Sequence[torch.Tensor], mask_features: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """The same of what the pixel decoder gives: three levels, the coarsest first, and the map of the masks."""
        states, positions = [], []
        for index, level in enumerate(levels):
            positions.append(self.positions(level.shape, level.device, level.dtype).flatten(2).permute(2, 0, 1))
            states.append(level.flatten(2).permute(2, 0, 1) + self.level_embed.weight[index])
        query = query.transpose(0, 1)
        return self.decoder(
            inputs_embeds=query,
            multi_stage_positional_embeddings=positions,
            pixel_embeddings=mask_features,
            encoder_hidden_states=states,
            query_position_embeddings=torch.zeros_like(query),
            feature_size_list=[level.shape[-2:] for level in levels],
            output_attentions=False,
            output_hidden_states=False,
            return_dict=True,
        ).masks_queries_logits
