"""Horizontal anchors of the oriented region proposal network: one scale, several shapes per cell and level."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .host_values import on_device

STRIDES = (4, 8, 16, 32, 64)


def level_anchors(
    size: tuple[int, int], stride: int, scale: float, ratios: Sequence[float], device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Anchors of one level.

    Args:
        size: rows and columns of the level's map.
        stride: pixels between cells.
        scale: side of the square anchor in strides.
        ratios: height divided by width, one anchor per ratio and cell.

    Returns:
        float32 `(rows * columns * len(ratios), 4)`: left, top, right, bottom in pixels. Cells row by row, ratios
        innermost. The anchors of cell (row i, column j) are centred on (j * stride, i * stride): on the corner of the
        cell, as officially.
    """
    ratio = torch.tensor(ratios, dtype=torch.float32)
    half_height = scale * stride * ratio.sqrt() / 2
    half_width = scale * stride / ratio.sqrt() / 2
    shapes = on_device(torch.stack([-half_width, -half_height, half_width, half_height], dim=1), torch.device(device))
    rows, columns = (torch.arange(count, dtype=torch.float32, device=device) * stride for count in size)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    centres = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
    return (centres + shapes).reshape(-1, 4)


@dataclass(frozen=True)
class AnchorBands:
    """Which anchors of all levels may meet a band of the image, told on the host without a look at the anchors.

    Args:
        shapes: rows and columns of the levels.
        scale: side of the square anchor in strides.
        ratios: height divided by width.
    """

    shapes: tuple[tuple[int, int], ...]
    scale: float
    ratios: tuple[float, ...]

    def __call__(self, top: float, bottom: float) -> list[slice]:
        """Where the anchors lie that reach between these heights, and a few more: at most one slice per level."""
        found, start = [], 0
        for (rows, columns), stride in zip(self.shapes, STRIDES, strict=True):
            reach = self.scale * stride * math.sqrt(max(self.ratios)) / 2 + 1  # a pixel for rounding
            first = max(math.ceil((top - reach) / stride), 0)
            last = min(math.floor((bottom + reach) / stride) + 1, rows)
            in_row = columns * len(self.ratios)
            if first < last:
                found.append(slice(start + first * in_row, start + last * in_row))
            start += rows * in_row
        return found


def inside_image(anchors: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Which of the anchors `(n, 4)` lie wholly inside an image of this height and width (without its padding)."""
    height, width = size
    return (anchors[:, 0] >= 0) & (anchors[:, 1] >= 0) & (anchors[:, 2] < width) & (anchors[:, 3] < height)


def check_strides(feature_maps: Sequence[torch.Tensor], padded: torch.Tensor) -> None:
    """Raise a ValueError unless the maps of the backbone have the strides 4, 8, 16 and 32."""
    found = [tuple(feature_map.shape[2:]) for feature_map in feature_maps]
    expected = [tuple(side // stride for side in padded.shape[2:]) for stride in STRIDES[:4]]
    if found != expected:
        raise ValueError(
            f"the backbone gives maps of the sizes {found} for images of {tuple(padded.shape[2:])}; "
            f"the detector needs four maps of the strides 4, 8, 16 and 32: {expected}"
        )
