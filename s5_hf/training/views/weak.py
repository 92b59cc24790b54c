"""The weak view A_w: random scale, random crop, random flips, in uint8 on the worker that decoded the image.

Source: S5 (arXiv 2508.12409), section "S4 Pre-training", with the ranges of the official code.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...imaging.decoded_pixels import image_pixels
from ...modeling.value_scaling import ValueScaling
from .sample_reader import IGNORED, ONE_IMAGE, SampleReader
from .strong_draws import StrongDraws


@dataclass(frozen=True)
class WeakView:
    """Random scale of the longer side, random crop (padded with 0), horizontal and vertical flips, quarter turn.

    Args:
        crop_size: height and width of the crop in pixels.
        scale_range: the longer side is resized to a uniform random integer between these multiples of its length.
        flip_probability: of each of the two flips.
        rotation_probability: of a rotation by 90 degrees (0 in pre-training, 0.5 in fine-tuning).
        vertical_flips: whether images are flipped top to bottom too, or left to right alone.
    """

    crop_size: int
    scale_range: tuple[float, float] = (0.5, 2.0)
    flip_probability: float = 0.5
    rotation_probability: float = 0.0
    vertical_flips: bool = True

    def __call__(
        self, image: Image.Image | np.ndarray, mask: Image.Image | np.ndarray | None, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Make the view of an image and its mask.

        Args:
            image: Pillow image, or uint8 array `(height, width, channels)`.
            mask: class ids `(height, width)`, or `None` for an image without labels.
            generator: the source of all random numbers.

        Returns:
            uint8 image `(channels, crop_size, crop_size)` and uint8 labels `(crop_size, crop_size)`: 255 in the
            padding; without a mask, 0 elsewhere.

        Raises:
            ValueError: if image and mask differ in size or the image is not 8 bits per channel.
        """
        pixels = image_pixels(image)
        labels = np.zeros(pixels.shape[:2], dtype=np.uint8) if mask is None else np.asarray(mask)
        if labels.shape != pixels.shape[:2]:
            raise ValueError(f"the mask has the shape {labels.shape}, its image {pixels.shape[:2]} (height, width)")
        height, width = self._scaled_size(pixels.shape[0], pixels.shape[1], generator)
        top, left = (uniform_integer(0, max(0, side - self.crop_size), generator) for side in (height, width))
        rows, columns = min(height, self.crop_size), min(width, self.crop_size)
        # Only the part that the crop shows is resized: Pillow accepts a source box in fractions of a pixel.
        vertical, horizontal = pixels.shape[0] / height, pixels.shape[1] / width
        box = (
            left * horizontal,
            top * vertical,
            min((left + columns) * horizontal, pixels.shape[1]),
            min((top + rows) * vertical, pixels.shape[0]),
        )
        seen = resize(pixels, (columns, rows), box, Image.Resampling.BILINEAR)
        seen_labels = resize(labels.astype(np.uint8)[:, :, None], (columns, rows), box, Image.Resampling.NEAREST)
        view = np.zeros((pixels.shape[2], self.crop_size, self.crop_size), dtype=np.uint8)
        view[:, :rows, :columns] = seen.transpose(2, 0, 1)
        view_labels = np.full((self.crop_size, self.crop_size), IGNORED, dtype=np.uint8)
        view_labels[:rows, :columns] = seen_labels[:, :, 0]
        for axis in (-1, -2) if self.vertical_flips else (-1,):
            if torch.rand((), generator=generator) < self.flip_probability:
                view, view_labels = np.flip(view, axis), np.flip(view_labels, axis)
        # Without rotations no number is drawn, so that the random numbers of pre-training stay the same.
        if self.rotation_probability and torch.rand((), generator=generator) < self.rotation_probability:
            view, view_labels = np.rot90(view, axes=(-2, -1)), np.rot90(view_labels)
        return torch.from_numpy(np.ascontiguousarray(view)), torch.from_numpy(np.ascontiguousarray(view_labels))

    def _scaled_size(self, height: int, width: int, generator: torch.Generator) -> tuple[int, int]:
        longest = max(height, width)
        low, high = (int(longest * factor) for factor in self.scale_range)
        long_side = uniform_integer(low, high, generator)
        return tuple(max(1, int(side * long_side / longest + 0.5)) for side in (height, width))


@dataclass(frozen=True)
class SampleView:
    """Converts a decoded sample to the tensors of a batch row; can be pickled, so it runs in workers.

    Args:
        view: the weak view.
        seed: of the run.
        stream: name of the stream; an image gets different views in the labelled and the unlabelled stream.
        num_labels: number of classes, `None` for samples without labels. Larger class ids raise an error.
        ignore_index: mask value without a class.
        channels: number of channels that images must have.
        scaling: of the values of images that are not of 8 bits.
        reader: of the columns.
        strong: draws the parameters of the strong views; `None` where there are none.
    """

    view: WeakView
    seed: int
    stream: str
    num_labels: int | None = None
    ignore_index: int = IGNORED
    channels: int = 3
    scaling: ValueScaling | None = None
    reader: SampleReader = ONE_IMAGE
    strong: StrongDraws | None = None

    def __call__(self, sample: Mapping[str, Any], epoch: int) -> dict[str, torch.Tensor]:
        """The row of a sample in an epoch: `image` and `labels` (uint8), `seed` (int64), and what `strong` draws.

        Raises:
            ValueError: if the sample has no image or mask, another number of channels, or labels out of range.
        """
        name = sample.get("id", "a sample")
        self.reader.require(sample, name, self.stream, self.channels)
        seed = sample_seed(self.seed, self.stream, epoch, name)
        pixels = self.reader.pixels(sample, self.scaling)
        mask, missing = self._mask(sample, name), self.reader.missing(sample)
        if missing is not None:
            mask = np.where(missing, IGNORED, np.uint8(0) if mask is None else mask)
        generator = torch.Generator().manual_seed(seed)
        image, labels = self.view(pixels, mask, generator)
        row = {"image": self.reader.arranged(image), "labels": labels, "seed": torch.tensor(seed)}
        return row if self.strong is None else row | {"strong": self.strong(seed, row["image"])}

    def _mask(self, sample: Mapping[str, Any], name: str) -> np.ndarray | None:
        if self.num_labels is None:
            return None
        return self.reader.mask(sample, self.num_labels, self.ignore_index, name, self.stream)


def sample_seed(seed: int, stream: str, epoch: int, name: str) -> int:
    """The seed of a sample's generator; the same on every machine, rank and worker."""
    text = f"{seed}/{stream}/{epoch}/{name}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1  # fits int64


def resize(pixels: np.ndarray, size: tuple[int, int], box: tuple[float, ...], filter_: int) -> np.ndarray:
    """Resize a box of uint8 `(height, width, channels)` to `(columns, rows)`; Pillow handles 1 or 3 channels."""
    if pixels.shape[2] == 3:
        return np.asarray(Image.fromarray(pixels).resize(size, filter_, box=box))
    channels = [Image.fromarray(np.ascontiguousarray(channel)) for channel in pixels.transpose(2, 0, 1)]
    return np.stack([np.asarray(channel.resize(size, filter_, box=box)) for channel in channels], axis=2)


def uniform_integer(low: int, high: int, generator: torch.Generator) -> int:
    """A uniform random integer in `low..high`, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))
