"""The normalisation that a model's image processor describes, read in one place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..modeling import MambaHSIImageProcessor
from ..modeling.image_processing_s5 import IMAGENET_MEAN, IMAGENET_STD
from ..modeling.value_scaling import ValueScaling

__all__ = ["InputSettings", "processor_input", "processor_normalization", "require_normalization"]


@dataclass(frozen=True)
class InputSettings:
    """What a network expects of its images.

    Attributes:
        image_mean, image_std: of each channel, on the scale 0..1.
        value_scaling: the ranges that become 0..255 first; `None` for images of 8 bits as they are.
        bands: of a file that become the channels; `None` where nothing says so.
    """

    image_mean: tuple[float, ...] = IMAGENET_MEAN
    image_std: tuple[float, ...] = IMAGENET_STD
    value_scaling: ValueScaling | None = None
    bands: tuple[int | str, ...] | None = None


def processor_input(processor: object, source: str | Path) -> InputSettings:
    """All that an image processor says about images; arguments and errors as `processor_normalization`.

    Raises:
        ValueError: also if its `value_scaling` is damaged.
    """
    mean, std = processor_normalization(processor, source)
    scaling, bands = getattr(processor, "value_scaling", None), getattr(processor, "bands", None)
    return InputSettings(
        mean,
        std,
        None if scaling is None else ValueScaling.from_dict(scaling),
        None if bands is None else tuple(bands),
    )


def processor_normalization(processor: object, source: str | Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation on the scale 0..1, whatever the processor's own scale is.

    `do_rescale=False` and `do_normalize=False` are respected: the network then gets the values 0..255, or
    `rescale_factor` times them.

    Args:
        processor: an image processor of transformers.
        source: what the message calls it.

    Raises:
        ValueError: the processor swaps the colours (`do_flip_channel_order`) or is for hyperspectral cubes, or as
            `require_normalization`.
    """
    if getattr(processor, "do_flip_channel_order", False):
        raise ValueError(
            f"{source}: its image processor swaps red and blue (do_flip_channel_order), which is not supported"
        )
    if isinstance(processor, MambaHSIImageProcessor):
        raise ValueError(f"{source} has learned a hyperspectral cube, whose values are not those of images")
    factor = processor.rescale_factor if getattr(processor, "do_rescale", True) else 1.0
    mean, std = getattr(processor, "image_mean", None), getattr(processor, "image_std", None)
    if not getattr(processor, "do_normalize", True) or mean is None or std is None:
        channels = 3 if mean is None else len(mean)
        mean, std = (0.0,) * channels, (1.0,) * channels
    if factor == 0 or not math.isfinite(factor):
        raise ValueError(f"{source}: rescale_factor must be a number other than 0, got {factor}")
    unit = 255 * factor
    mean, std = tuple(value / unit for value in mean), tuple(value / unit for value in std)
    require_normalization(mean, std, source)
    return mean, std


def require_normalization(mean: Sequence[float], std: Sequence[float], source: str | Path) -> None:
    """Raise a ValueError unless there is one finite mean and one finite deviation other than 0 per channel."""
    numbers = [*mean, *std]
    if not mean or len(mean) != len(std) or not all(map(math.isfinite, numbers)) or 0 in std:
        raise ValueError(
            f"{source}: image_mean and image_std must hold one finite number per channel, and image_std none that is "
            f"0; got image_mean {list(mean)} and image_std {list(std)} (on the scale 0..1)"
        )
