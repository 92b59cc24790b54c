"""Bytes of images to what a network takes, for scenes, evaluation and curation."""

import numpy as np
import torch

from ..hub.normalization import InputSettings
from ..modeling.image_arrays import ImageLike, arrange_channels, to_channels_last
from .interfaces import NormalizedInput

__all__ = ["channels_first", "input_pixels", "input_settings", "normalize_pixels"]


def input_settings(network: NormalizedInput) -> InputSettings:
    """What a network expects of its images, without the network: for other processes."""
    return InputSettings(
        tuple(network.image_mean),
        tuple(network.image_std),
        getattr(network, "value_scaling", None),
        getattr(network, "bands", None),
    )


def input_pixels(image: ImageLike, network: NormalizedInput | InputSettings, name: str) -> np.ndarray:
    """An image as the bytes that a network was trained on, uint8 `(height, width, channels)`.

    Values are scaled as the network's image processor says; images of 8 bits of a network without a scaling, 0..255,
    are left as they are.

    Args:
        image: Pillow image, array or tensor.
        network: what it is for.
        name: of the image, for errors.

    Raises:
        ValueError: if it has another number of channels, or other values, than the network takes.
        TypeError: for something that is not an image.
    """
    scaling = getattr(network, "value_scaling", None)
    if scaling is None:
        return to_channels_last(image, len(network.image_mean))
    return scaling.to_bytes(arrange_channels(image, len(network.image_mean)), name)


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
