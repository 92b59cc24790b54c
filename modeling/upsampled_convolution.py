"""A 3 x 3 convolution of a bilinearly enlarged map, computed from the small map.

Mixing channels and enlarging commute, since one acts on channels and the other on places. So the products with the
nine taps are taken on the small map, where they cost a fraction, and only then enlarged, shifted and added up, which
is one matrix product along the rows and one along the columns.
"""

import torch
from torch.nn import functional


def convolve_upsampled(feature_map: torch.Tensor, weight: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """What `conv2d(interpolate(feature_map, size, mode="bilinear"), weight, padding=1)` gives, up to rounding.

    Args:
        feature_map: `(batch, in_channels, rows, columns)`.
        weight: `(out_channels, in_channels, 3, 3)`.
        size: rows and columns of the enlarged map; `align_corners` is False.

    Returns:
        `(batch, out_channels, *size)`, channels last in memory.
    """
    batch, in_channels, rows, columns = feature_map.shape
    out_channels = weight.shape[0]
    enlarge_rows = _shifted_enlargements(rows, size[0], feature_map)
    enlarge_columns = _shifted_enlargements(columns, size[1], feature_map)

    # For each row of the kernel the products with its three taps, then all rows in one product.
    pixels = feature_map.permute(0, 2, 3, 1).reshape(batch, 1, rows * columns, in_channels)
    taps = weight.permute(2, 1, 3, 0).reshape(3, in_channels, 3 * out_channels)
    mixed = (pixels @ taps).reshape(batch, 3 * rows, columns * 3 * out_channels)
    enlarged = enlarge_rows.permute(1, 0, 2).reshape(size[0], 3 * rows) @ mixed
    # One row of `enlarged` holds, for each column and each tap of the kernel's row, the output channels.
    enlarged = enlarged.reshape(batch, size[0], columns * 3, out_channels)
    result = enlarge_columns.permute(1, 2, 0).reshape(size[1], columns * 3) @ enlarged
    return result.permute(0, 3, 1, 2)


def _shifted_enlargements(length: int, size: int, like: torch.Tensor) -> torch.Tensor:
    """`(3, size, length)`: bilinear enlargement of one axis, shifted by -1, 0 and 1 places, zero beyond the border."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    one_hot = torch.eye(length, device=like.device, dtype=dtype).unsqueeze(0)
    enlargement = functional.interpolate(one_hot, size=size, mode="linear", align_corners=False)[0].T
    padded = functional.pad(enlargement, (0, 0, 1, 1))
    return torch.stack([padded[shift : shift + size] for shift in range(3)]).to(like.dtype)
