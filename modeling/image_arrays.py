"""Images as arrays: what is accepted as an image or a label map, and how it is resized."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

ImageLike = Image.Image | np.ndarray | torch.Tensor
Size = int | Sequence[int] | Mapping[str, int]

SIZE_FORMS = (
    '{"height": ..., "width": ...}, {"shortest_edge": ...} (with "longest_edge" if wanted), (height, width) or one '
    "number for a square, in whole pixels from 1"
)


def as_list(images: ImageLike | Sequence[ImageLike]) -> list[ImageLike]:
    """One image, a batch array or a sequence of images as a list; an empty one raises a ValueError."""
    if isinstance(images, (np.ndarray, torch.Tensor)) and images.ndim == 4:
        images = list(images)
    if not isinstance(images, (list, tuple)):
        return [images]
    if not images:
        raise ValueError("no images were given: expected one image or a list of at least one")
    return list(images)


def to_channels_last(image: ImageLike, num_channels: int) -> np.ndarray:
    """An image as an array `(height, width, num_channels)` of numbers; grey images are repeated over the channels.

    Raises:
        ValueError: for a wrong shape, a Pillow image of more than 8 bits per channel, or values that are not finite
            numbers.
        TypeError: for something that is not an image.
    """
    if isinstance(image, Image.Image) and image.mode.startswith(("I", "F")):
        raise ValueError(f"the image has the mode {image.mode!r}, expected 8 bits per channel; scale it to 0..255")
    array = arrange_channels(image, num_channels)
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise ValueError("an image holds NaN or infinity, expected finite numbers; fill such pixels first")
    return array


def arrange_channels(image: ImageLike, num_channels: int) -> np.ndarray:
    """The same for images of any depth, whose values may be missing (masked or NaN)."""
    if isinstance(image, Image.Image):
        colors = num_channels == 3 and not image.mode.startswith(("I", "F"))
        array = np.asarray(image.convert("RGB") if colors else image)
    elif isinstance(image, (np.ndarray, torch.Tensor)):
        array = to_array(image)
    else:
        raise TypeError(f"expected a Pillow image, an array or a tensor, got {type(image).__name__}")
    if array.dtype == bool or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise ValueError(f"an image has the type {array.dtype}, expected real numbers, such as uint8")
    if array.ndim == 2:
        array = array[:, :, None].repeat(num_channels, axis=2)
    if array.ndim != 3 or num_channels not in (array.shape[0], array.shape[2]):
        raise ValueError(f"an image has the shape {array.shape}, expected {num_channels} channels, first or last")
    if 0 in array.shape:
        raise ValueError(f"an image is empty: its shape is {array.shape}")
    return array if array.shape[2] == num_channels else array.transpose(1, 2, 0)


def to_array(image: np.ndarray | torch.Tensor) -> np.ndarray:
    """An array or a tensor, of any device and floating-point type, as an array."""
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu()
        return (image.float() if image.dtype == torch.bfloat16 else image).numpy()
    return image


def check_byte_range(array: np.ndarray) -> None:
    """Raise a ValueError unless the values fit 0..255, which is what a factor of 1/255 expects.

    Values of 0..1 fit, and are nearly always an image that was scaled before: they give a UserWarning.
    """
    if array.dtype == np.uint8:
        return
    if np.issubdtype(array.dtype, np.integer) and array.dtype.itemsize == 2:
        raise ValueError(
            f"an image has the type {array.dtype}, expected 8 bits per channel; scale it to 0..255, or give the "
            "rescale_factor of its values"
        )
    lowest, highest = array.min(), array.max()
    if lowest < 0 or highest > 255:
        raise ValueError(
            f"an image holds values from {lowest:g} to {highest:g}, expected 0..255; scale it, or give "
            "do_rescale=False or the rescale_factor of its values"
        )
    if np.issubdtype(array.dtype, np.floating) and 0 < highest <= 1:
        warnings.warn(
            "an image holds floating-point values of 0..1 and is divided by 255, as if they were 0..255; "
            "give do_rescale=False if it is scaled already",
            UserWarning,
            stacklevel=4,  # the caller of the processor
        )


def read_size(size: Size) -> dict[str, int]:
    """A size as `{"height", "width"}` or `{"shortest_edge"}` with or without `"longest_edge"`.

    Raises:
        ValueError: for any other form; the message lists the known ones.
    """
    if isinstance(size, Mapping):
        read: dict[str, Any] = dict(size)
    elif isinstance(size, Sequence) and not isinstance(size, str) and len(size) == 2:
        read = {"height": size[0], "width": size[1]}
    else:
        read = {"height": size, "width": size}
    known = set(read) in ({"height", "width"}, {"shortest_edge"}, {"shortest_edge", "longest_edge"})
    whole = all(isinstance(side, (int, np.integer)) and not isinstance(side, bool) for side in read.values())
    if not known or not whole or min(read.values()) < 1:
        raise ValueError(f"size is {size!r}, expected {SIZE_FORMS}")
    return {name: int(side) for name, side in read.items()}


def target_size(shape: Sequence[int], size: Mapping[str, int]) -> tuple[int, int]:
    """Height and width that an image of `shape` (height, width, ...) gets; the other side keeps the proportions."""
    if "height" in size:
        return size["height"], size["width"]
    short, long = sorted(shape[:2])
    scale = size["shortest_edge"] / short
    if "longest_edge" in size:
        scale = min(scale, size["longest_edge"] / long)
    height, width = (max(1, round(side * scale)) for side in shape[:2])
    return height, width


def resize_image(array: np.ndarray, size: Mapping[str, int], resample: int) -> np.ndarray:
    """Resize `(height, width, channels)`, channel by channel where Pillow knows no such mode."""
    height, width = target_size(array.shape, size)
    if array.dtype == np.uint8 and array.shape[2] == 3:
        return np.asarray(Image.fromarray(array).resize((width, height), resample))
    channels = [Image.fromarray(channel.astype(np.float32)) for channel in array.transpose(2, 0, 1)]
    return np.stack([np.asarray(channel.resize((width, height), resample)) for channel in channels], axis=2)


def resize_plainly(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize `(height, width, channels)` bilinearly without antialiasing; whole numbers are rounded."""
    image = torch.from_numpy(np.array(array.transpose(2, 0, 1), dtype=np.float32))
    resized = functional.interpolate(image[None], size=size, mode="bilinear", align_corners=False)[0]
    values = resized.permute(1, 2, 0).numpy()
    return np.rint(values).astype(array.dtype) if array.dtype.kind in "iu" else values


def to_label_map(label_map: ImageLike) -> np.ndarray:
    """A label map as int64; a ValueError if its values are not whole numbers."""
    array = np.asarray(label_map) if isinstance(label_map, Image.Image) else to_array(label_map)
    if np.issubdtype(array.dtype, np.integer) or array.dtype == bool:
        return array.astype(np.int64)
    if not np.issubdtype(array.dtype, np.floating) or not np.array_equal(array, np.rint(array)):
        raise ValueError(f"a segmentation map of the type {array.dtype} holds values that are not whole numbers")
    return array.astype(np.int64)


def resize_labels(label_map: np.ndarray, size: Mapping[str, int]) -> np.ndarray:
    """Resize class ids `(height, width)` with nearest neighbour."""
    height, width = target_size(label_map.shape, size)
    image = Image.fromarray(label_map.astype(np.int32))
    return np.asarray(image.resize((width, height), Image.Resampling.NEAREST)).astype(np.int64)


def require_one_size(sizes: Sequence[tuple[int, int]]) -> None:
    """Raise a ValueError if the images of a batch differ in size."""
    if len(set(sizes)) > 1:
        raise ValueError(
            f"the images of a batch must have one size, got (height, width) {sorted(set(sizes))}; "
            "give them one by one or with do_resize=True"
        )


def check_label_maps(maps: Sequence[np.ndarray], expected: tuple[int, int, int]) -> None:
    """Raise a ValueError unless there is one map `(height, width)` per image, of its size."""
    if len(maps) != expected[0]:
        raise ValueError(f"got {len(maps)} segmentation maps for {expected[0]} images")
    for index, label_map in enumerate(maps):
        if label_map.shape != expected[1:]:
            raise ValueError(
                f"segmentation map {index} has the shape {label_map.shape}, its image {tuple(expected[1:])}"
            )
