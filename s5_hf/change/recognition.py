"""What lies under a mask at each date, and whether that makes it a change of a named class.

Source: DynamicEarth (arXiv 2501.12931), section on identification, and its official code.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .masks import Masks

__all__ = ["BACKGROUND", "is_instance_change", "is_land_cover_change", "mask_classes"]

BACKGROUND = 0
"""The class of what is none of the named objects."""


def mask_classes(masks: Masks, probabilities: Tensor, threshold: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The class of each mask at one date: the one with the largest mean probability.

    Args:
        masks: of the image.
        probabilities: `(classes, height, width)`, of any size; masks are brought to it by the nearest pixel.
        threshold: below this the class is the background.

    Returns:
        Classes, int64 `(masks,)`, and their mean probabilities, float64 `(masks,)`. A mask that is too small for the
        size of the probabilities gets class 0 and probability 0.
    """
    _, height, width = probabilities.shape
    values = probabilities.double().cpu()
    classes, confidences = np.zeros(len(masks), dtype=np.int64), np.zeros(len(masks))
    for index in range(len(masks)):
        plane = torch.from_numpy(masks.plane(index))
        small = functional.interpolate(plane[None, None].float(), size=(height, width))[0, 0] > 0
        if not small.any():
            continue
        means = values[:, small].mean(dim=1)
        best = int(means.argmax())
        confidences[index] = float(means[best])
        classes[index] = best if means[best] >= threshold else BACKGROUND
    return classes, confidences


def is_instance_change(before: np.ndarray, after: np.ndarray, count_before: int) -> np.ndarray:
    """Which masks are objects that came, went or became something else.

    Args:
        before, after: classes of the masks at both dates, `(masks,)`.
        count_before: how many masks, the first ones, were found in the image of the first date.

    Returns:
        bool `(masks,)`: the classes differ, and the one at the mask's own date is not the background.
    """
    own = np.concatenate([before[:count_before], after[count_before:]])
    return (before != after) & (own != BACKGROUND)


def is_land_cover_change(before: np.ndarray, after: np.ndarray, count_before: int) -> np.ndarray:
    """Which masks are land that became another class; arguments as `is_instance_change`."""
    return before != after
