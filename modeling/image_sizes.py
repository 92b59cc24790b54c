"""Sizes of the images in a padded batch, and what lies in the padding."""

from collections.abc import Sequence

import torch


def read_image_sizes(pixel_values: torch.Tensor, pixel_mask: torch.Tensor | None) -> list[tuple[int, int]]:
    """Height and width of every image without its padding.

    Args:
        pixel_values: `(batch, channels, height, width)`.
        pixel_mask: `(batch, height, width)`, 1 on the image (in the upper left corner) and 0 on padding; None where
            nothing is padded.

    Raises:
        ValueError: if the mask does not fit the images, or an image is empty or not in the upper left corner.
    """
    batch_size, _, height, width = pixel_values.shape
    if pixel_mask is None:
        return [(height, width)] * batch_size
    if tuple(pixel_mask.shape) != (batch_size, height, width):
        raise ValueError(
            f"pixel_mask has the shape {tuple(pixel_mask.shape)}, the images ask for {(batch_size, height, width)}"
        )
    mask = pixel_mask.bool()
    rows, columns = mask.any(dim=2).sum(dim=1), mask.any(dim=1).sum(dim=1)
    sizes = list(zip(rows.tolist(), columns.tolist(), strict=True))
    for index, (image_height, image_width) in enumerate(sizes):
        if not image_height * image_width or not mask[index, :image_height, :image_width].all():
            raise ValueError(f"pixel_mask of image {index} is no rectangle in the upper left corner")
    return sizes


def centred_in_padding(boxes: torch.Tensor, size: Sequence[int], padded_size: Sequence[int]) -> torch.Tensor:
    """Which boxes `(n, 5)` have their centre in the padding to the right of or below an image `(height, width)`."""
    x, y = boxes[:, 0], boxes[:, 1]
    right = (x > size[1]) & (x <= padded_size[1])
    below = (y > size[0]) & (y <= padded_size[0])
    return right | below
