"""The stem of the ViT: patches to tokens, with position embeddings for images of any size."""

import torch
from torch import nn

from .configuration_s5_vit import S5ViTConfig
from .deterministic_operations import resize_bicubic


class S5ViTEmbeddings(nn.Module):
    """Patches to tokens, plus position embeddings resized to the grid at hand."""

    def __init__(self, config: S5ViTConfig) -> None:
        super().__init__()
        grid = config.image_size // config.patch_size
        self.patch_size = config.patch_size
        self.stored_grid = (grid, grid)
        self.projection = nn.Conv2d(
            config.num_channels, config.hidden_size, kernel_size=config.patch_size, stride=config.patch_size
        )
        self.position_embeddings = nn.Parameter(torch.empty(1, grid * grid, config.hidden_size))
        # Never used, neither here nor in the official code; kept so that a checkpoint converts back unchanged.
        self.register_buffer("cls_token", torch.zeros(1, 1, config.hidden_size))

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """Images `(batch, channels, height, width)`, padded to whole patches, to tokens and their grid.

        Images of another floating-point type than the weights are converted, as the ViT of transformers does.
        """
        patches = self.projection(pixel_values.to(self.projection.weight.dtype))  # (batch, hidden, rows, columns)
        grid = (patches.shape[2], patches.shape[3])
        # Contiguous, or the residual stream keeps the transposed strides and every layer norm copies it.
        tokens = patches.flatten(2).transpose(1, 2).contiguous()  # (batch, rows * columns, hidden)
        return tokens + self.position_embeddings_for(grid), grid

    def position_embeddings_for(self, grid: tuple[int, int]) -> torch.Tensor:
        """Position embeddings `(1, rows * columns, hidden)`, bicubic where the grid is not the stored one."""
        if grid == self.stored_grid:
            return self.position_embeddings
        return resize_position_embeddings(self.position_embeddings, self.stored_grid, grid)


def resize_position_embeddings(
    position_embeddings: torch.Tensor, old_grid: tuple[int, int], new_grid: tuple[int, int]
) -> torch.Tensor:
    """Resize `(1, old rows * old columns, hidden)` to the new grid (bicubic, align_corners False), as officially."""
    hidden_size = position_embeddings.shape[-1]
    as_map = position_embeddings.reshape(1, *old_grid, hidden_size).permute(0, 3, 1, 2)
    resized = resize_bicubic(as_map.float(), size=new_grid)
    return resized.flatten(2).transpose(1, 2).to(position_embeddings.dtype)


__all__ = ["S5ViTEmbeddings", "resize_position_embeddings"]
