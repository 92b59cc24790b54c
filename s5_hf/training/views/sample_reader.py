"""How the columns of a sample become pixels and labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ...imaging.decoded_pixels import image_kind, image_pixels, missing_pixels
from ...modeling.value_scaling import ValueScaling

IGNORED = 255
"""Value of the label map, and of the map of ignored pixels, where nothing is learned."""


@dataclass(frozen=True)
class SampleReader:
    """Reads an image and its mask.

    Attributes:
        columns: of the images that a sample consists of; they have one size, and their channels are read one image
            behind the other.
        captions: what pictures call them.
    """

    columns: ClassVar[tuple[str, ...]] = ("image",)
    captions: ClassVar[tuple[str, ...]] = ("image",)

    def require(self, sample: Mapping[str, Any], name: str, stream: str, channels: int) -> None:
        """Raise a ValueError unless every image is there and has so many channels; names the sample `name`."""
        for column in self.columns:
            if sample.get(column) is None:
                raise ValueError(f"the {stream} sample {name!r} has no {column}; its columns: {', '.join(sample)}")
            found, _ = image_kind(sample[column])
            if found != channels:
                raise ValueError(f"the {stream} {column} {name!r} has {found} channels, the model takes {channels}")

    def pixels(self, sample: Mapping[str, Any], scaling: ValueScaling | None = None) -> np.ndarray:
        """The images as uint8 `(height, width, channels of all images)`.

        Raises:
            ValueError: if they differ in size, or as `image_pixels`.
        """
        images = [image_pixels(sample[column], scaling) for column in self.columns]
        if len({image.shape[:2] for image in images}) > 1:
            sizes = ", ".join(
                f"{column} has {image.shape[1]} x {image.shape[0]} pixels"
                for column, image in zip(self.columns, images, strict=True)
            )
            raise ValueError(f"the images of the sample {sample.get('id', '')!r} differ in size: {sizes}")
        return images[0] if len(images) == 1 else np.concatenate(images, axis=2)

    def missing(self, sample: Mapping[str, Any]) -> np.ndarray | None:
        """Where any of the images holds no data, bool `(height, width)`; `None` for nowhere."""
        found = [missing for column in self.columns if (missing := missing_pixels(sample[column])) is not None]
        return np.logical_or.reduce(found) if found else None

    def mask(
        self, sample: Mapping[str, Any], num_labels: int, ignore_index: int, name: str, stream: str = "validation"
    ) -> np.ndarray:
        """Class ids `(height, width)`, 255 where a pixel is ignored.

        Raises:
            ValueError: if there is no mask, or it holds something else than classes.
        """
        return checked_mask(self.column(sample, "mask", name, stream), num_labels, ignore_index, name)

    def column(self, sample: Mapping[str, Any], mask: str, name: str, stream: str) -> np.ndarray:
        """The values of a column with a mask; a ValueError if it is not there."""
        if sample.get(mask) is None:
            raise ValueError(f"the {stream} sample {name!r} has no {mask}, but this stream needs labels")
        return np.asarray(sample[mask])

    def arranged(self, pixels: torch.Tensor) -> torch.Tensor:
        """`(channels of all images, height, width)` as the network takes a row."""
        return pixels


ONE_IMAGE = SampleReader()
"""Reads an image and its mask."""


def checked_mask(mask: np.ndarray, num_labels: int, ignore_index: int, name: str) -> np.ndarray:
    """Class ids with `ignore_index` replaced by 255.

    Raises:
        ValueError: if an id is neither a class nor `ignore_index`.
    """
    mask = np.where(mask == ignore_index, IGNORED, mask)
    wrong = (mask != IGNORED) & ((mask < 0) | (mask >= num_labels))
    if wrong.any():
        values = np.unique(mask[wrong])[:10].tolist()
        raise ValueError(
            f"the mask of {name!r} holds the values {values}, but the model has {num_labels} classes: "
            f"expected 0..{num_labels - 1} or the ignore index {ignore_index}"
        )
    return mask
