"""Image processor of SRUIT."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .image_processing_s5 import S5ImageProcessor

MIDDLE = (0.5, 0.5, 0.5)
"""Mean and deviation that bring 0..1 to -1..1, what the network gives back."""


class SRUITImageProcessor(S5ImageProcessor):
    """Images to the `pixel_values` of [`SRUITModel`], -1 to 1, and its outputs back to images.

    Settings and forms of images as in [`S5ImageProcessor`].

    Raises:
        ValueError: if 0..255 would not become -1..1, or as in [`S5ImageProcessor`].
    """

    def __init__(
        self,
        image_mean: Sequence[float] = MIDDLE,
        image_std: Sequence[float] = MIDDLE,
        value_scaling: Mapping[str, Sequence[float]] | None = None,
        bands: Sequence[int | str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_mean=image_mean, image_std=image_std, value_scaling=value_scaling, bands=bands, **kwargs
        )
        if {*self.image_mean, *self.image_std} != {0.5}:
            raise ValueError(
                f"image_mean is {self.image_mean} and image_std {self.image_std}, expected 0.5 for every channel: the "
                "network gives values in -1..1"
            )

    def post_process_translation(self, outputs: Any) -> list[np.ndarray]:
        """Images of the outputs of [`SRUITModel`], uint8 `(height, width, channels)`."""
        return [image.permute(1, 2, 0).cpu().numpy() for image in to_bytes(outputs.pixel_values)]


def to_bytes(pixel_values: torch.Tensor) -> torch.Tensor:
    """Values in -1..1 as uint8 0..255, rounded; of any shape."""
    return pixel_values.detach().float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


__all__ = ["SRUITImageProcessor"]
