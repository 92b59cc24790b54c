"""Teachers that never learn: vision transformers of transformers, with the normalisation they were trained with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..modeling.published_shapes import published_shape, weights_are_left_out

# Tokens in front of the patches: a class token and registers. More than these are patches of another size.
MOST_PREFIX_TOKENS = 32

MeanAndStd = tuple[Sequence[float], Sequence[float]]
"""Of the channels, for images in 0..1."""


@dataclass
class FrozenTeacher:
    """A teacher of a distillation. It is no module of the student: no checkpoint and no average holds it.

    Attributes:
        name: folder or name of the model.
        network: gives `last_hidden_state` `(batch, prefix + patches, hidden)` for `pixel_values`.
        image_size: side of the square images that it sees; `None` for those of the student.
        patch_size, hidden_size: of the network.
        mean, std: of the channels, as the network was trained, for images in 0..1.
    """

    name: str
    network: nn.Module
    image_size: int | None
    patch_size: int
    hidden_size: int
    mean: Sequence[float]
    std: Sequence[float]

    @torch.no_grad()
    def tokens(self, pixel_values: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
        """Tokens of the patches `(batch, patches, hidden)`, in rows from the upper left.

        Args:
            pixel_values: images `(batch, channels, height, width)`, normalised for the student.
            mean, std: with which they were.

        Raises:
            ValueError: if the teacher does not take images of this size.
        """
        images = renormalised(pixel_values, (mean, std), (self.mean, self.std))
        if self.image_size is not None:
            size = (self.image_size, self.image_size)
            images = functional.interpolate(images, size=size, mode="bilinear", align_corners=True)
        height, width = images.shape[2:]
        try:
            tokens = self.network(pixel_values=images).last_hidden_state
        except ValueError as error:
            native = getattr(self.network.config, "image_size", None)
            raise ValueError(
                f"the teacher {self.name} does not take images of {height} x {width} pixels ({error}); give it a "
                f"side of its own, as in {self.name}@{native or 224}"
            ) from error
        patches = (height // self.patch_size) * (width // self.patch_size)
        prefix = tokens.shape[1] - patches
        if not 0 <= prefix <= MOST_PREFIX_TOKENS:
            raise ValueError(
                f"the teacher {self.name} gives {tokens.shape[1]} tokens for {height} x {width} pixels, expected "
                f"{patches}, one for each patch of {self.patch_size} px"
            )
        return tokens[:, prefix:]


def renormalised(images: torch.Tensor, used: MeanAndStd, wanted: MeanAndStd) -> torch.Tensor:
    """Images `(batch, channels, height, width)`, normalised with a mean and a deviation, with others instead."""
    images = images.float() * column(used[1], images) + column(used[0], images)
    return (images - column(wanted[0], images)) / column(wanted[1], images)


def column(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """One value per channel, in a shape that goes with images."""
    return torch.tensor(values, dtype=torch.float32, device=like.device).view(-1, 1, 1)


def load_frozen_teacher(word: str) -> FrozenTeacher:
    """Load a teacher.

    Args:
        word: folder or name of a vision transformer (of a pair of image and text towers the former is taken), with
            `@side` for one that sees square images of that side, such as `openai/clip-vit-large-patch14@224`.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if its folder holds no model, it is no vision transformer, the side is no multiple of its patches,
            or nothing says how its images are normalised.
    """
    name, side = name_and_side(word)
    try:
        network, settings = read_teacher(name)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or ["not found"])[0]
        kind = FileNotFoundError if isinstance(error, OSError) else ValueError
        raise kind(f"the teacher {name} cannot be loaded: {reason}") from error
    network = getattr(network, "vision_model", network).eval().requires_grad_(False)
    sizes = {key: getattr(network.config, key, None) for key in ("patch_size", "hidden_size")}
    if not all(isinstance(size, int) for size in sizes.values()):
        raise ValueError(f"the teacher {name} is no vision transformer: its patch and hidden sizes are {sizes}")
    if side is not None and side % sizes["patch_size"]:
        raise ValueError(f"teacher {word!r}: the side is no multiple of its patches of {sizes['patch_size']} px")
    return FrozenTeacher(name, network, side, **sizes, **normalisation(name, settings))


def name_and_side(word: str) -> tuple[str, int | None]:
    """The parts of `NAME@SIDE`; `None` for a name alone.

    Raises:
        ValueError: if the side is no number of pixels.
    """
    name, at, side = word.rpartition("@") if "@" in word else (word, "", "")
    if at and not (side.isdecimal() and int(side)):
        raise ValueError(f"teacher {word!r}: expected name@side with the side in pixels, such as {name}@224")
    return name, int(side) if at else None


def read_teacher(name: str) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a folder or a name, and the settings of its image processor.

    On the meta device the network has no numbers, and the Hub is not asked for encoders of known shape.
    """
    from transformers import AutoConfig, AutoModel
    from transformers.image_processing_base import ImageProcessingMixin

    if not weights_are_left_out():
        return AutoModel.from_pretrained(name), ImageProcessingMixin.get_image_processor_dict(name)[0]
    shape = None if Path(name).is_dir() else published_shape(name)
    if shape is None:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(name)
        return AutoModel.from_config(AutoConfig.from_pretrained(name)), settings
    settings = {"image_mean": list(shape.image_mean), "image_std": list(shape.image_std)}
    return AutoModel.from_config(shape.make_config()), settings


def normalisation(name: str, settings: dict[str, Any]) -> dict[str, list[float]]:
    """Mean and standard deviation from the settings of an image processor, or a ValueError where it has none."""
    found = {"mean": settings.get("image_mean"), "std": settings.get("image_std")}
    if not all(isinstance(values, list) for values in found.values()):
        raise ValueError(f"the teacher {name} does not say how its images are normalised (image_mean, image_std)")
    return found
