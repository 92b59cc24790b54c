"""What MV-CC is given: two images as a fading clip, a mask at the grid of the patches, captions as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedTokenizerBase, ProcessorMixin
from transformers.image_processing_base import BatchFeature
from transformers.utils import TensorType

from .image_arrays import ImageLike, as_list
from .image_processing_s5 import S5ImageProcessor

SIDE, GRID = 224, 16


class MVCCImageProcessor(S5ImageProcessor):
    """Images of two dates to frames that fade from the first to the second.

    Args:
        side: of the frames in pixels.
        grid: cells of a mask per side: patches of the video encoder.
        clip_frames: of the whole fading.
        num_frames: that are drawn from it.
        **kwargs: further arguments of `S5ImageProcessor`.
    """

    model_input_names = ["pixel_values", "change_mask"]  # noqa: RUF012 - transformers' own form

    def __init__(
        self, side: int = SIDE, grid: int = GRID, clip_frames: int = 8, num_frames: int = 2, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.side, self.grid, self.clip_frames, self.num_frames = side, grid, clip_frames, num_frames

    def preprocess(
        self,
        images: ImageLike | Sequence[ImageLike],
        images_after: ImageLike | Sequence[ImageLike] | None = None,
        change_masks: ImageLike | Sequence[ImageLike] | None = None,
        return_tensors: str | TensorType | None = None,
        **settings: Any,
    ) -> BatchFeature:
        """Prepare images of two dates.

        Args:
            images: of the first date, one or several.
            images_after: of the second date, as many and of the same sizes.
            change_masks: of the changes, any value above 0 of the first channel is change.
            return_tensors: `"pt"` or `"np"`.

        Returns:
            `pixel_values` float32 `(batch, frames, channels, side, side)` and, with masks, `change_mask` float32
            `(batch, grid, grid)`.

        Raises:
            ValueError: one date is missing, or the dates differ in number or size.
        """
        if images_after is None:
            raise ValueError("only one date was given: expected processor(images_before, images_after)")
        before, after = (self._channels(as_list(given), len(self.image_mean)) for given in (images, images_after))
        sizes = [[image.shape[:2] for image in date] for date in (before, after)]
        if sizes[0] != sizes[1]:
            raise ValueError(f"the dates differ: images of {sizes[0]} before, of {sizes[1]} after (height, width)")
        clips = [self._clip(*pair) for pair in zip(before, after, strict=True)]
        content: dict[str, Any] = {"pixel_values": np.stack(clips)}
        if change_masks is not None:
            content["change_mask"] = np.stack([mask_cells(mask, self.grid) for mask in as_list(change_masks)])
        return BatchFeature(data=content, tensor_type=return_tensors)

    def normalized(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 `(frames, height, width, channels)` as the network takes them."""
        mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (self.image_mean, self.image_std))
        pixels = torch.from_numpy(frames.transpose(0, 3, 1, 2).copy()).float()
        # Without limits after the interpolation, as in the official code.
        resized = functional.interpolate(pixels, size=(self.side, self.side), mode="bicubic", align_corners=False)
        return (resized.numpy() / 255 - mean) / std

    def _clip(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return self.normalized(fade(before, after, self.clip_frames)[frame_indices(self.clip_frames, self.num_frames)])


class MVCCProcessor(ProcessorMixin):
    """An image processor and the tokenizer of the captions.

    Args:
        image_processor: for pairs of images.
        tokenizer: of `caption_tokenizer`.
    """

    def __init__(self, image_processor: MVCCImageProcessor, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(image_processor, tokenizer)

    def __call__(
        self,
        images: ImageLike | Sequence[ImageLike],
        images_after: ImageLike | Sequence[ImageLike] | None = None,
        change_masks: ImageLike | Sequence[ImageLike] | None = None,
        text: str | Sequence[str] | None = None,
        return_tensors: str | TensorType | None = "pt",
    ) -> BatchFeature:
        """Prepare pairs of images and, with `text`, their captions as `labels` int64 `(batch, words)`.

        Arguments and errors as [`MVCCImageProcessor`]; a caption that is too long is cut.
        """
        content = self.image_processor(images, images_after, change_masks, return_tensors=return_tensors)
        if text is not None:
            sentences = [text] if isinstance(text, str) else list(text)
            options = {"padding": True, "truncation": True, "return_tensors": return_tensors}
            content["labels"] = self.tokenizer(sentences, **options)["input_ids"]
        return content

    def decode_captions(self, tokens: torch.Tensor) -> list[str]:
        """Sentences of what `generate` returned, int64 `(batch, words)`."""
        return self.tokenizer.batch_decode(tokens, skip_special_tokens=True)


def fade(before: np.ndarray, after: np.ndarray, frames: int) -> np.ndarray:
    """Frames from one image to the other, uint8 `(frames, height, width, channels)`."""
    shares = np.linspace(0, 1, frames, dtype=np.float32)[:, None, None, None]
    return ((1 - shares) * before[None] + shares * after[None]).astype(np.uint8)


def frame_indices(frames: int, wanted: int) -> np.ndarray:
    """Which frames of a clip are looked at: evenly spread, the ends left out where there is room."""
    step = (frames - 1) / wanted
    return np.array([int(step / 2) + round(step * index) for index in range(wanted)])


def mask_cells(mask: ImageLike, grid: int) -> np.ndarray:
    """A mask as 0 and 1 in `(grid, grid)` cells: its pixel at the upper left corner of each cell."""
    pixels = np.asarray(mask)
    pixels = pixels[..., 0] if pixels.ndim == 3 else pixels
    rows, columns = (np.arange(grid) * side // grid for side in pixels.shape)
    return (pixels[np.ix_(rows, columns)] > 0).astype(np.float32)
