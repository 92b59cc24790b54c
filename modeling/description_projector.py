"""What joins the vision encoder and the language model of SegEarth-R1, and makes a question a query for a mask."""

import torch
from torch import nn
from torch.nn import functional


class VisualConnector(nn.Module):
    """The coarsest feature map as a few tokens of the language model.

    The norms are over whole maps, so they fix the size of the images. There are no activations.

    Args:
        in_channels: of the feature map.
        channels: width of the language model.
        sizes: sides of the two maps that the strided convolutions make.
    """

    def __init__(self, in_channels: int, channels: int, sizes: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, channels, kernel_size=3, stride=2, padding=1)
        self.first_norm = nn.LayerNorm([channels, sizes[0], sizes[0]])
        self.second = nn.Conv2d(channels, channels, kernel_size=3, stride=2, padding=1)
        self.second_norm = nn.LayerNorm([channels, sizes[1], sizes[1]])
        self.output = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, feature_map: torch.Tensor) -> torch.Tensor:
        """`(batch, tokens, channels)`, row by row, of a map `(batch, in_channels, height, width)`."""
        feature_map = self.first_norm(self.first(feature_map))
        feature_map = self.second_norm(self.second(feature_map))
        return self.output(feature_map).flatten(2).transpose(1, 2)


class DescriptionProjector(nn.Module):
    """One query for the mask decoder of the tokens of a question and the patches of an image.

    The official block attends with every token of the question, but only the first row, their mean, is used and no
    other row reaches it. So there is only that row here.

    Args:
        text_channels: width of the language model.
        image_channels: of the coarsest feature map.
        channels: width inside.
        heads: of the attention.
        out_channels: width of the mask decoder.
    """

    def __init__(self, text_channels: int, image_channels: int, channels: int, heads: int, out_channels: int) -> None:
        super().__init__()
        self.heads = heads
        self.mean_projection = nn.Linear(text_channels, channels)
        self.text_projection = nn.Linear(text_channels, channels)
        self.patch_projection = nn.Linear(image_channels, channels)
        self.patch_norm = nn.LayerNorm(channels)
        self.latent_norm = nn.LayerNorm(channels)
        self.to_query = nn.Linear(channels, channels, bias=False)
        self.to_key_value = nn.Linear(channels, 2 * channels, bias=False)
        self.to_output = nn.Linear(channels, channels, bias=False)
        self.feed_forward_norm = nn.LayerNorm(channels)
        self.feed_forward_in = nn.Linear(channels, channels, bias=False)
        self.feed_forward_out = nn.Linear(channels, channels, bias=False)
        self.norm = nn.LayerNorm(channels)
        self.query_projection = nn.Linear(2 * channels, out_channels)

    def forward(self, mean: torch.Tensor, feature_map: torch.Tensor) -> torch.Tensor:
        """The query `(batch, 1, out_channels)`.

        Args:
            mean: of the hidden states of the question, `(batch, text_channels)`.
            feature_map: `(batch, image_channels, height, width)`.
        """
        return self.query_projection(torch.cat(self.embeddings(mean, feature_map), dim=-1))

    def embeddings(self, mean: torch.Tensor, feature_map: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The question by itself, and the question as it sees the image, each `(batch, 1, channels)`."""
        mean = mean[:, None]
        latent = self.text_projection(mean)
        latent = latent + self.attend(latent, self.patch_projection(feature_map.flatten(2).transpose(1, 2)))
        inner = functional.gelu(self.feed_forward_in(self.feed_forward_norm(latent)))
        return self.mean_projection(mean), self.norm(latent + self.feed_forward_out(inner))

    def attend(self, latent: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """Attention of `latent` `(batch, 1, channels)` to the patches `(batch, patches, channels)` and itself."""
        latent = self.latent_norm(latent)
        seen = self.to_key_value(torch.cat([self.patch_norm(patches), latent], dim=1))
        parts = (self.to_query(latent), *seen.chunk(2, dim=-1))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.to_output(attended.transpose(1, 2).flatten(2))
