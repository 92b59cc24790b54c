"""The topology network of SAM-Road++: which pairs of nodes a road connects (arXiv 2411.16733)."""

import torch
from torch import nn

from .road_points import LINE_FEATURES


class TopologyNetwork(nn.Module):
    """Pairs of one source look at each other and are classified.

    Args:
        feature_channels: of the features at points.
        channels: width.
        layers, heads: of the transformer over the pairs of a source.
        dropout: inside its layers.
    """

    def __init__(self, feature_channels: int, channels: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.feature_projection = nn.Linear(feature_channels, channels)
        self.pair_projection = nn.Linear(2 * channels + LINE_FEATURES + 2, channels)
        # Post-norm layers with ReLU, as torch makes them.
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(channels, heads, channels, dropout, batch_first=True) for _ in range(layers)
        )
        self.classifier = nn.Linear(channels, 1)

    def forward(
        self,
        source_features: torch.Tensor,
        target_features: torch.Tensor,
        lines: torch.Tensor,
        offsets: torch.Tensor,
        valid: torch.Tensor,
    ) -> torch.Tensor:
        """Logits `(batch, sources, neighbors)`; those of invalid pairs mean nothing.

        Args:
            source_features, target_features: at the ends, `(batch, sources, neighbors, feature_channels)`.
            lines: `(batch, sources, neighbors, 150)`, see `line_features`.
            offsets: target minus source in pixels, `(batch, sources, neighbors, 2)`.
            valid: bool `(batch, sources, neighbors)`.
        """
        ends = (self.feature_projection(features).relu() for features in (source_features, target_features))
        pairs = self.pair_projection(torch.cat([*ends, lines, offsets], dim=-1)).relu()
        hidden, valid = pairs.flatten(0, 1), valid.flatten(0, 1)
        masked = ~valid & valid.any(dim=1, keepdim=True)  # attention over nothing would be NaN
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=masked)
        return self.classifier(hidden)[..., 0].unflatten(0, pairs.shape[:2])
