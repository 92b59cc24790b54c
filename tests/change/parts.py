"""Parts of a search for changes that know the answer: no weights, no training."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from s5_hf.change.masks import Masks
from s5_hf.change.superpixels import segments_as_masks

RED = (210, 40, 40)


def pair(side=96, boxes=((10, 12, 30, 28), (50, 60, 80, 76)), seed=0):
    """A grey noisy image and the same with red boxes (left, top, right, bottom), and the mask of those."""
    before = np.random.default_rng(seed).integers(90, 110, (side, side, 3), dtype=np.uint8)
    after, truth = before.copy(), np.zeros((side, side), dtype=bool)
    for left, top, right, bottom in boxes:
        after[top:bottom, left:right] = RED
        truth[top:bottom, left:right] = True
    return before, after, truth


def is_red(image):
    """Where an image is red, bool `(height, width)`."""
    return image[..., 0].astype(int) - image[..., 1] > 60


class RedRegions:
    """Proposes the connected red regions."""

    def propose(self, image: np.ndarray) -> Masks:
        return segments_as_masks(ndimage.label(is_red(image))[0] - 1)


class Colors:
    """The colours themselves as features, a cell per pixel."""

    def features(self, image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32)) - 100


@dataclass
class Roofs:
    """Takes red for roofs, and the rest for background."""

    labels: tuple[str, ...] = ("background", "roof")

    def probabilities(self, image: np.ndarray) -> torch.Tensor:
        red = torch.from_numpy(is_red(image)).float()
        return torch.stack([1 - red, red])
