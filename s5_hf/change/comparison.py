"""Whether what lies under a mask changed: the angle between its mean features at two dates.

Source: DynamicEarth (arXiv 2501.12931), section on comparison, and its official code.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .masks import Masks

__all__ = ["change_angles", "otsu_threshold", "pixel_change_scores", "scene_angle"]

_BINS = 256
_ROWS = 64


def change_angles(masks: Masks, before: Tensor, after: Tensor) -> np.ndarray:
    """How far the mean features under each mask turned between two dates.

    The features are taken to be enlarged to the image by linear interpolation from corner to corner. As that and the
    mean are linear, the pixels of a mask become weights of the grid's cells instead: nothing of the size of the image
    times the channels is made.

    Args:
        masks: of both dates.
        before, after: features `(channels, rows, columns)`.

    Returns:
        Angles in degrees, 0..180, float64 `(masks,)`.

    Raises:
        ValueError: the features differ in shape.
    """
    _require_alike(before, after)
    weights = _cell_weights(masks, before.shape[1], before.shape[2]).to(before)
    means = [weights @ features.flatten(1).T for features in (before, after)]
    cosines = functional.cosine_similarity(*means, dim=1)
    return np.degrees(np.arccos(cosines.double().clamp(-1, 1).cpu().numpy()))


def scene_angle(before: Tensor, after: Tensor, height: int, width: int) -> float:
    """The angle that separates changed from unchanged pixels of two images best, in degrees (Otsu 1979).

    Args:
        before, after: features `(channels, rows, columns)`.
        height, width: of the images.

    Raises:
        ValueError: the features differ in shape.
    """
    scores = pixel_change_scores(before, after, height, width)
    return math.degrees(math.acos(-min(max(otsu_threshold(scores.cpu().numpy()), -1.0), 1.0)))


def pixel_change_scores(before: Tensor, after: Tensor, height: int, width: int) -> Tensor:
    """Minus the cosine of the features of two dates at each pixel, float32 `(height, width)`, by bands of rows."""
    _require_alike(before, after)
    across = _interpolation(before.shape[2], width).to(before)
    down = _interpolation(before.shape[1], height).to(before)
    bands = []
    for top in range(0, height, _ROWS):
        first, second = (
            torch.einsum("yr,crk,xk->cyx", down[top : top + _ROWS], features, across) for features in (before, after)
        )
        bands.append(-functional.cosine_similarity(first, second, dim=0))
    return torch.cat(bands)


def otsu_threshold(values: np.ndarray) -> float:
    """The middle of the histogram bin, of 256, up to which values form the first of two groups (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=_BINS)
    centers = (edges[:-1] + edges[1:]) / 2
    below, above = counts.cumsum(), counts[::-1].cumsum()[::-1]
    mean_below = (counts * centers).cumsum() / np.maximum(below, 1)
    mean_above = (counts * centers)[::-1].cumsum()[::-1] / np.maximum(above, 1)
    between = below[:-1] * above[1:].astype(np.float64) * (mean_below[:-1] - mean_above[1:]) ** 2
    return float(centers[between.argmax()])


def _cell_weights(masks: Masks, rows: int, columns: int) -> Tensor:
    """What each cell of the features contributes to the mean under each mask, float64 `(masks, rows * columns)`."""
    down, across = _interpolation(rows, masks.height), _interpolation(columns, masks.width)
    weights = torch.zeros(len(masks), rows * columns, dtype=torch.float64)
    for index, (left, top, right, bottom) in enumerate(masks.boxes.tolist()):
        crop = torch.from_numpy(masks.crops[index]).double()
        spread = down[top : bottom + 1].T @ crop @ across[left : right + 1]
        weights[index] = (spread / crop.sum().clamp(min=1)).flatten()
    return weights


def _interpolation(cells: int, pixels: int) -> Tensor:
    """Linear interpolation with aligned corners as a matrix, float64 `(pixels, cells)`."""
    position = torch.arange(pixels, dtype=torch.float64) * ((cells - 1) / max(pixels - 1, 1))
    lower = position.floor().long().clamp(max=max(cells - 2, 0))
    share = position - lower
    matrix = torch.zeros(pixels, cells, dtype=torch.float64)
    matrix[torch.arange(pixels), lower] = 1 - share
    if cells > 1:
        matrix[torch.arange(pixels), lower + 1] = share
    return matrix


def _require_alike(before: Tensor, after: Tensor) -> None:
    if before.ndim != 3 or before.shape != after.shape:
        raise ValueError(
            f"expected features (channels, rows, columns) of one shape, got {tuple(before.shape)} and "
            f"{tuple(after.shape)}"
        )
