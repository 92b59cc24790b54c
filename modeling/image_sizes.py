"""Batches of images: whether a network can take them, their padding, and what lies in it."""

from collections.abc import Sequence

import torch
from torch.nn import functional


def check_pixel_values(pixel_values: torch.Tensor, num_channels: int) -> None:
    """Raise a ValueError unless these are floats in a non-empty batch `(batch, num_channels, height, width)`."""
    if not pixel_values.is_floating_point():
        raise ValueError(f"pixel_values has the type {pixel_values.dtype}, expected normalised floating-point images")
    if pixel_values.ndim != 4:
        raise ValueError(
            f"pixel_values must have the shape (batch, channels, height, width), got {tuple(pixel_values.shape)}"
        )
    if pixel_values.shape[1] != num_channels:
        raise ValueError(f"pixel_values has {pixel_values.shape[1]} channels, the model expects {num_channels}")
    if 0 in pixel_values.shape:
        raise ValueError(f"pixel_values is empty: its shape is {tuple(pixel_values.shape)}")


def pad_to_patches(pixel_values: torch.Tensor, patch_size: int) -> torch.Tensor:
    """Pad height and width with zeros (the mean colour after normalisation), right and below, to whole patches."""
    # Rounded up by a floor division: torch.compile with changing sizes cannot take the remainder of a negative number.
    bottom, right = ((size + patch_size - 1) // patch_size * patch_size - size for size in pixel_values.shape[2:])
    if bottom == 0 and right == 0:
        return pixel_values
    return functional.pad(pixel_values, (0, right, 0, bottom))


def resize_to_patches(pixel_values: torch.Tensor, patch_size: int) -> torch.Tensor:
    """Resize (bilinear, align_corners True) to the nearest multiples of the patch, one patch at least."""
    size = [max(1, (2 * side + patch_size) // (2 * patch_size)) * patch_size for side in pixel_values.shape[2:]]
    if size == list(pixel_values.shape[2:]):
        return pixel_values
    return functional.interpolate(pixel_values, size=tuple(size), mode="bilinear", align_corners=True)


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
    in_rows = torch.arange(height, device=mask.device) < rows[:, None]
    in_columns = torch.arange(width, device=mask.device) < columns[:, None]
    wrong = (mask != in_rows[:, :, None] & in_columns[:, None, :]).flatten(1).any(dim=1) | (rows == 0)
    # One transfer for the whole batch: on a GPU each would wait for the device.
    found = torch.stack([rows, columns, wrong], dim=1).tolist()
    for index, (_, _, is_wrong) in enumerate(found):
        if is_wrong:
            raise ValueError(f"pixel_mask of image {index} is not a rectangle in the upper left corner")
    return [(image_height, image_width) for image_height, image_width, _ in found]


def check_image_sizes(sizes: Sequence[Sequence[int]], pixel_values: torch.Tensor) -> list[tuple[int, int]]:
    """Heights and widths of the images in a padded batch `(batch, channels, height, width)`, one pair per image.

    Raises:
        ValueError: if there are more or fewer than images, or one is empty or larger than the batch.
    """
    batch_size, _, height, width = pixel_values.shape
    if len(sizes) != batch_size:
        raise ValueError(f"got {len(sizes)} image_sizes for a batch of {batch_size} images")
    for index, (image_height, image_width) in enumerate(sizes):
        if not (0 < image_height <= height and 0 < image_width <= width):
            raise ValueError(
                f"image_sizes[{index}] is {(image_height, image_width)}, the batch has {(height, width)} pixels"
            )
    return [(image_height, image_width) for image_height, image_width in sizes]


def centred_in_padding(boxes: torch.Tensor, size: Sequence[int], padded_size: Sequence[int]) -> torch.Tensor:
    """Which boxes `(n, 5)` have their centre in the padding to the right of or below an image `(height, width)`."""
    x, y = boxes[:, 0], boxes[:, 1]
    right = (x > size[1]) & (x <= padded_size[1])
    below = (y > size[0]) & (y <= padded_size[0])
    return right | below
