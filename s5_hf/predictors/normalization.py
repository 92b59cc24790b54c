"""Bytes of images to what a network takes, for scenes, evaluation and curation."""

import numpy as np
import torch

from .interfaces import NormalizedInput

__all__ = ["channels_first", "normalize_pixels"]


def channels_first(images: np.ndarray) -> torch.Tensor:
    """Images uint8 `(batch, height, width, channels)` as a tensor `(batch, channels, height, width)` of their own."""
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


def normalize_pixels(pixels: torch.Tensor, network: NormalizedInput) -> torch.Tensor:
    """Images uint8 `(batch, channels, height, width)` to a network's `pixel_values`, on its device.

    Returns:
        float32 `(batch, channels, height, width)`: (pixels / 255 - image_mean) / image_std.
    """
    std = torch.tensor(network.image_std, dtype=torch.float32).view(1, -1, 1, 1)
    mean = torch.tensor(network.image_mean, dtype=torch.float32).view(1, -1, 1, 1)
    scale, shift = (1 / (255 * std)).to(network.device), (-mean / std).to(network.device)
    # Bytes travel to the device, a quarter of the floats; one multiplication and one addition there.
    return pixels.to(network.device, non_blocking=True).float().mul_(scale).add_(shift)
