"""Operations whose gradients torch cannot compute with the same bits twice on a GPU, in a form that can.

Each is the operation of torch unless `torch.use_deterministic_algorithms` is on and the tensor is on a GPU: there it
would raise. The other form has the same values up to rounding. Bilinear resizing is not here: torch has its own form.
"""

from typing import Any

import torch
from torch.nn import functional


def needs_other_form(tensor: torch.Tensor) -> bool:
    """Whether operations on a tensor must be written in a form with deterministic gradients."""
    return tensor.is_cuda and torch.are_deterministic_algorithms_enabled()


def pixel_errors(
    logits: torch.Tensor,
    labels: torch.Tensor,
    ignore_index: int = -100,
    class_weights: torch.Tensor | None = None,
    reduction: str = "none",
) -> torch.Tensor:
    """`cross_entropy` of maps: logits `(batch, classes, height, width)`, labels int64 `(batch, height, width)`.

    Args:
        logits: float.
        labels: class ids or `ignore_index`, whose pixels count 0.
        ignore_index: value left out.
        class_weights: float `(classes,)`; `None` for equal ones.
        reduction: "none" for an error per pixel, or their "sum".
    """
    if not needs_other_form(logits):
        return functional.cross_entropy(
            logits, labels, weight=class_weights, ignore_index=ignore_index, reduction=reduction
        )
    classes = torch.arange(logits.shape[1], device=logits.device)[:, None, None]
    weights = -1.0 if class_weights is None else -class_weights[:, None, None]
    chosen = (classes == labels[:, None]) & (labels != ignore_index)[:, None]
    errors = torch.where(chosen, logits.log_softmax(dim=1) * weights, 0.0).sum(dim=1)
    return errors if reduction == "none" else errors.sum()


def pool_to_grid(feature_map: torch.Tensor, bins: int) -> torch.Tensor:
    """Means of a map `(batch, channels, rows, columns)` over `bins` x `bins` bins, as `adaptive_avg_pool2d`."""
    if not needs_other_form(feature_map):
        return functional.adaptive_avg_pool2d(feature_map, bins)
    with torch.autocast(feature_map.device.type, enabled=False):
        values = feature_map.float()
        rows, columns = (averaging_matrix(size, bins, values) for size in values.shape[2:])
        return (rows @ values @ columns.T).to(feature_map.dtype)


def averaging_matrix(size: int, bins: int, like: torch.Tensor) -> torch.Tensor:
    """`(bins, size)`: row k averages floor(k * size / bins) up to ceil((k + 1) * size / bins), as PyTorch does."""
    bin_index = torch.arange(bins, device=like.device)
    start = (bin_index * size) // bins
    stop = ((bin_index + 1) * size + bins - 1) // bins
    position = torch.arange(size, device=like.device)
    inside = (position >= start[:, None]) & (position < stop[:, None])
    return inside.to(like.dtype) / (stop - start)[:, None].to(like.dtype)


def resize_bicubic(feature_map: torch.Tensor, **target: Any) -> torch.Tensor:
    """Bicubic resize of a float32 map `(batch, channels, rows, columns)`, `align_corners` False.

    Args:
        feature_map: to resize.
        target: `size` or `scale_factor` of `interpolate`, a pair.
    """
    if not needs_other_form(feature_map):
        return functional.interpolate(feature_map, mode="bicubic", align_corners=False, **target)
    ((name, (of_rows, of_columns)),) = target.items()
    rows = bicubic_matrix(feature_map.shape[2], feature_map, **{name: (of_rows, 1)})
    columns = bicubic_matrix(feature_map.shape[3], feature_map, **{name: (of_columns, 1)})
    with torch.autocast(feature_map.device.type, enabled=False):
        return rows @ feature_map @ columns.T


@torch.no_grad()
def bicubic_matrix(length: int, like: torch.Tensor, **target: Any) -> torch.Tensor:
    """`(new length, length)`: the bicubic resize of one axis, found by resizing every unit vector."""
    units = torch.eye(length, device=like.device, dtype=like.dtype)[None, :, :, None]
    return functional.interpolate(units, mode="bicubic", align_corners=False, **target)[0, :, :, 0].T


def maximum_of_squares(feature_map: torch.Tensor) -> torch.Tensor:
    """Maxima of a map `(batch, channels, rows, columns)` over 2 x 2 squares; an odd last row or column is kept."""
    if not needs_other_form(feature_map):
        return functional.max_pool2d(feature_map, kernel_size=2, stride=2, ceil_mode=True)
    rows, columns = feature_map.shape[2:]
    padded = functional.pad(feature_map, (0, columns % 2, 0, rows % 2), value=float("-inf"))
    top = first_maximum(padded[:, :, ::2, ::2], padded[:, :, ::2, 1::2])
    return first_maximum(top, first_maximum(padded[:, :, 1::2, ::2], padded[:, :, 1::2, 1::2]))


def first_maximum(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Elementwise maximum; of equal values the first gets the gradient, and NaN is the largest, as in max pooling."""
    return torch.where((first >= second) | first.isnan(), first, second)
