"""RoIAlign for oriented boxes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["bilinear_bags", "roi_align_of_valid_rois", "roi_align_rotated"]

# Values of intermediate samples at once; bounds the memory.
_MAX_SAMPLES = 1 << 22


def roi_align_rotated(
    features: Tensor,
    rois: Tensor,
    output_size: int = 7,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 2,
) -> Tensor:
    """Average bilinear samples of a feature map over the bins of oriented boxes.

    Every box is divided along its own axes into output_size x output_size bins, and every bin is sampled at
    sampling_ratio x sampling_ratio points. The centre of the first pixel of the map lies at spatial_scale * (x, y) =
    (0.5, 0.5) ("aligned"). A point more than one pixel beyond the centres of the border pixels (more than that at the
    far sides: beyond H and W) counts 0; between there and the centres the border pixels continue.
    (Oriented R-CNN, Xie et al. 2021; the same numbers as the official release.)

    Args:
        features: [B, C, H, W].
        rois: [K, 6]: index in the batch, cx, cy, w, h in input pixels, theta in radians.
        output_size: bins per side.
        spatial_scale: size of the map / size of the input, 1 / stride.
        sampling_ratio: samples per bin and side.

    Returns:
        [K, C, output_size, output_size], of the features' dtype; differentiable in the features only.

    Raises:
        ValueError: a wrong shape, an index outside of the batch, or a size or ratio below 1.
    """
    _check(features, rois, output_size, sampling_ratio)
    return roi_align_of_valid_rois(features, rois, output_size, spatial_scale, sampling_ratio)


def roi_align_of_valid_rois(
    features: Tensor, rois: Tensor, output_size: int, spatial_scale: float, sampling_ratio: int
) -> Tensor:
    """`roi_align_rotated` of boxes that are known to be valid: on a GPU a check waits for the device."""
    channels, height, width = features.shape[1:]
    if len(rois) == 0:
        return features.new_zeros(0, channels, output_size, output_size)
    # The average of weighted pixels is what an embedding bag computes: each bin is a bag of pixels. The channels of a
    # pixel must lie together in memory for it; that makes it ten times as fast.
    dtype = torch.promote_types(features.dtype, torch.float32)
    pixels = features.to(dtype).permute(0, 2, 3, 1).contiguous().view(-1, channels)
    rois = rois.detach().to(dtype)
    bins = []
    per_roi = (output_size * sampling_ratio) ** 2 * 4
    for part in rois.split(max(1, _MAX_SAMPLES // per_roi)):
        indices, weights = bilinear_bags(part, height, width, output_size, spatial_scale, sampling_ratio)
        bins.append(functional.embedding_bag(indices, pixels, per_sample_weights=weights, mode="sum"))
    pooled = torch.cat(bins).view(len(rois), output_size, output_size, channels)
    return pooled.permute(0, 3, 1, 2).contiguous().to(features.dtype)


def _check(features: Tensor, rois: Tensor, output_size: int, sampling_ratio: int) -> None:
    if features.ndim != 4:
        raise ValueError(f"features must be [B, C, H, W], got shape {tuple(features.shape)}")
    if rois.ndim != 2 or rois.shape[-1] != 6:
        raise ValueError(f"rois must be [K, 6], (batch index, cx, cy, w, h, theta), got shape {tuple(rois.shape)}")
    if output_size < 1 or sampling_ratio < 1:
        raise ValueError(f"output_size and sampling_ratio must be at least 1, got {output_size} and {sampling_ratio}")
    outside = (rois[:, 0] < 0) | (rois[:, 0] >= len(features)) | ~torch.isfinite(rois).all(dim=-1)
    if outside.any():
        row = int(outside.nonzero()[0])
        raise ValueError(f"rois[{row}] is {rois[row].tolist()}: not finite, or not in a batch of {len(features)}")


def bilinear_bags(
    rois: Tensor,
    height: int | Tensor,
    width: int | Tensor,
    output_size: int,
    spatial_scale: float | Tensor,
    sampling_ratio: int,
) -> tuple[Tensor, Tensor]:
    """Which pixels of a map make each bin of each box, and how much of each.

    Args:
        rois: [K, 6], as `roi_align_rotated`.
        height, width, spatial_scale: of the map; or [K, 1, 1] each, if every box has a map of its own.
        output_size, sampling_ratio: as `roi_align_rotated`.

    Returns:
        Rows of the flattened map and their weights, [K * bins, samples * 4] both.
    """
    points = output_size * sampling_ratio
    steps = (torch.arange(points, dtype=rois.dtype, device=rois.device) + 0.5) / points - 0.5
    cx, cy = (rois[:, column, None, None] * spatial_scale - 0.5 for column in (1, 2))
    along = rois[:, 3, None, None] * spatial_scale * steps  # [K, 1, points]: over the columns of the bins
    across = rois[:, 4, None, None] * spatial_scale * steps[:, None]  # [K, points, 1]: over the rows
    cosine, sine = rois[:, 5, None, None].cos(), rois[:, 5, None, None].sin()
    x = along * cosine - across * sine + cx
    y = along * sine + across * cosine + cy
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)

    x, y = x.clamp(min=0).clamp(max=width - 1), y.clamp(min=0).clamp(max=height - 1)
    left, top = x.floor(), y.floor()
    right_share, bottom_share = x - left, y - top
    left, top = left.long(), top.long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    first = rois[:, 0, None, None].long() * height
    upper, lower = (first + top) * width, (first + bottom) * width
    indices = torch.stack([upper + left, upper + right, lower + left, lower + right], dim=-1)
    share = inside / sampling_ratio**2
    weights = torch.stack(
        [
            (1 - bottom_share) * (1 - right_share),
            (1 - bottom_share) * right_share,
            bottom_share * (1 - right_share),
            bottom_share * right_share,
        ],
        dim=-1,
    ) * share[..., None].to(rois.dtype)

    def by_bin(values: Tensor) -> Tensor:
        shape = (rois.shape[0], output_size, sampling_ratio, output_size, sampling_ratio, 4)
        return values.view(shape).transpose(2, 3).reshape(-1, sampling_ratio**2 * 4)

    return by_bin(indices), by_bin(weights)
