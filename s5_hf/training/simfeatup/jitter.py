"""Copies of an image, and of its features, that are moved, enlarged and mirrored alike."""

from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Jitter:
    """Padding by reflection, enlargement, a cut-out of the former size, a flip.

    Attributes:
        padding: pixels on each side.
        zoom: 1 or more.
        top, left: of the cut-out in the enlarged image.
        flip: left to right.
    """

    padding: int
    zoom: float
    top: int
    left: int
    flip: bool

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """The copy of `(batch, channels, height, width)`, of the same size."""
        height, width = images.shape[2:]
        moved = functional.pad(images, (self.padding,) * 4, mode="reflect")
        if self.zoom > 1:
            moved = functional.interpolate(moved, scale_factor=self.zoom, mode="bilinear")
        moved = moved[:, :, self.top : self.top + height, self.left : self.left + width]
        return moved.flip(3) if self.flip else moved


def random_jitter(size: int, padding: int, largest_zoom: float, generator: torch.Generator) -> Jitter:
    """A random copy of square images of this size; one half of them are enlarged, one half mirrored."""
    flips, enlarges, share = torch.rand(3, generator=generator).tolist()
    zoom = 1 + share * (largest_zoom - 1) if enlarges > 0.5 else 1.0
    room = int((size + 2 * padding) * zoom) - size + 1
    top, left = torch.randint(0, room, (2,), generator=generator).tolist()
    return Jitter(padding, zoom, top, left, flips > 0.5)
