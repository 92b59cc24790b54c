"""The feature pyramid of the S5 encoder: four taps of a stride-16 ViT to strides 4, 8, 16 and 32."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


class S5FeaturePyramid(nn.Module):
    """One branch per tap (ViTDet style, as in the official encoder).

    Stride 4: transposed convolution, LayerNorm over the channels, GELU, transposed convolution. Stride 8: transposed
    convolution. Stride 16: the tap itself. Stride 32: maximum over 2 x 2.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.stride4_first = nn.ConvTranspose2d(hidden_size, hidden_size, kernel_size=2, stride=2)
        self.stride4_norm = nn.LayerNorm(hidden_size, eps=1e-6)
        self.stride4_second = nn.ConvTranspose2d(hidden_size, hidden_size, kernel_size=2, stride=2)
        self.stride8 = nn.ConvTranspose2d(hidden_size, hidden_size, kernel_size=2, stride=2)

    def forward(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Four maps `(batch, hidden, rows, columns)` to `(batch, hidden, ...)` of 4, 2, 1 and 1/2 times the size."""
        first, second, third, fourth = maps
        upsampled = self.stride4_first(first).permute(0, 2, 3, 1)  # channels last for the norm
        upsampled = functional.gelu(self.stride4_norm(upsampled)).permute(0, 3, 1, 2)
        return [
            self.stride4_second(upsampled),
            self.stride8(second),
            third,
            # ceil_mode keeps the last row and column of an odd grid, which the official floor would drop;
            # even grids, the only ones of the official sizes, are not touched by it.
            functional.max_pool2d(fourth, kernel_size=2, stride=2, ceil_mode=True),
        ]
