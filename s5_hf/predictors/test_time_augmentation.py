"""Test-time augmentation: the mean of the class probabilities over flips and scales of the input."""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

__all__ = ["FLIPS", "SIZE_STEP", "predict_probabilities"]

FLIPS: dict[str, tuple[int, ...]] = {"none": (), "horizontal": (3,), "vertical": (2,), "both": (2, 3)}
"""Names of the flips and the axes of `(batch, channels, height, width)` that they turn around."""

SIZE_STEP = 16
"""Scaled inputs get sides that are multiples of this, the patch size of the ViTs, so that no model has to pad them."""

Predictor = Callable[[torch.Tensor], torch.Tensor]


def predict_probabilities(
    predict: Predictor,
    pixel_values: torch.Tensor,
    flips: Sequence[str] = ("none",),
    scales: Sequence[float] = (1.0,),
) -> torch.Tensor:
    """The mean of the class probabilities over every pair of a scale and a flip.

    Args:
        predict: from pixel values `(batch, channels, h, w)` to class probabilities `(batch, classes, h, w)`, of the
            same height and width as what it is given.
        pixel_values: normalised images `(batch, channels, height, width)`.
        flips: among `"none"`, `"horizontal"` (left to right), `"vertical"` (top to bottom) and `"both"`.
        scales: factors by which height and width are multiplied (bilinear, smoothed where they shrink; sides become
            multiples of 16). 1 leaves the input untouched.

    Returns:
        Probabilities `(batch, classes, height, width)`.

    Raises:
        ValueError: a flip is unknown, a scale is not positive, one of the lists is empty, or `predict` returns
            another height or width than it was given.
    """
    check_augmentations(flips, scales)
    total: torch.Tensor | None = None
    for scale in scales:
        scaled = _resize(pixel_values, _scaled_size(pixel_values.shape[2:], scale))
        mean = _mean_over_flips(predict, scaled, flips)
        mean = _resize(mean, (pixel_values.shape[2], pixel_values.shape[3]))
        total = mean if total is None else total + mean
    return total if len(scales) == 1 else total / len(scales)


def check_augmentations(flips: Sequence[str], scales: Sequence[float]) -> None:
    """Raise a ValueError, as `predict_probabilities`, unless there are known flips and positive scales."""
    if isinstance(flips, str) or not flips or not scales:
        raise ValueError(f"at least one flip and one scale are needed, each in a list; got {flips!r} and {scales!r}")
    unknown = [flip for flip in flips if flip not in FLIPS]
    if unknown:
        raise ValueError(f"flips must be among {', '.join(FLIPS)}, got {', '.join(map(repr, unknown))}")
    if not all(0 < scale < float("inf") for scale in scales):
        raise ValueError(f"scales must be positive numbers, got {', '.join(map(str, scales))}")


def _mean_over_flips(predict: Predictor, pixel_values: torch.Tensor, flips: Sequence[str]) -> torch.Tensor:
    total: torch.Tensor | None = None
    for flip in flips:
        axes = FLIPS[flip]
        probabilities = predict(pixel_values.flip(axes) if axes else pixel_values)
        if probabilities.shape[2:] != pixel_values.shape[2:]:
            raise ValueError(
                f"predict returned {tuple(probabilities.shape[2:])} for an input of {tuple(pixel_values.shape[2:])} "
                "(height, width): it must keep the size"
            )
        probabilities = probabilities.flip(axes) if axes else probabilities
        total = probabilities if total is None else total + probabilities
    return total if len(flips) == 1 else total / len(flips)


def _scaled_size(size: Sequence[int], scale: float) -> tuple[int, int]:
    if scale == 1:
        return int(size[0]), int(size[1])
    height, width = (max(1, round(side * scale / SIZE_STEP)) * SIZE_STEP for side in size)
    return height, width


def _resize(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bilinear, with smoothing where a side shrinks; every output value is a mean of input values."""
    if tuple(images.shape[2:]) == size:
        return images
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)
