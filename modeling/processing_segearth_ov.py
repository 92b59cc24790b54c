"""What SegEarth-OV is given: images in its size and normalisation, and names of classes as tokens."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, ProcessorMixin
from transformers.image_processing_base import BatchFeature
from transformers.utils import TensorType

from .image_arrays import ImageLike, Size, as_list, check_byte_range, resize_labels, resize_plainly, to_label_map
from .image_processing_s5 import BYTE_FACTOR, S5ImageProcessor, resize_logits
from .prompt_templates import TEMPLATES

# Of CLIP on the scale 0..255, with the digits of the official code.
CLIP_MEAN = tuple(value / 255 for value in (122.771, 116.746, 104.094))
CLIP_STD = tuple(value / 255 for value in (68.501, 66.632, 70.323))
LONGEST_EDGE = 448


class SegEarthOVImageProcessor(S5ImageProcessor):
    """As [`S5ImageProcessor`], but images are resized by their longer side, without antialiasing, as published.

    Args:
        do_resize: whether to resize to `size`.
        size: `{"longest_edge": ...}` or a number, in pixels; the proportions are kept.
        image_mean, image_std: one number per channel (default: CLIP's).
        **kwargs: further arguments of `S5ImageProcessor`.

    Raises:
        ValueError: for a size of another form, or as `S5ImageProcessor`.
    """

    def __init__(
        self,
        do_resize: bool = True,
        size: Size | None = None,
        image_mean: Sequence[float] = CLIP_MEAN,
        image_std: Sequence[float] = CLIP_STD,
        **kwargs: Any,
    ) -> None:
        super().__init__(do_resize=do_resize, image_mean=image_mean, image_std=image_std, **kwargs)
        self.size = read_longest_edge(LONGEST_EDGE if size is None else size)

    # Begins as `S5ImageProcessor.preprocess`; transformers reads the arguments from the signatures.
    def preprocess(
        self,
        images: ImageLike | Sequence[ImageLike],
        segmentation_maps: ImageLike | Sequence[ImageLike] | None = None,
        do_resize: bool | None = None,
        size: Size | None = None,
        return_tensors: str | TensorType | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare images, and label maps if given; arguments and errors as `S5ImageProcessor.preprocess`."""
        longest = read_longest_edge(self.size if size is None else size)["longest_edge"]
        if self.do_resize if do_resize is None else do_resize:
            arrays = self._channels(as_list(images), len(kwargs.get("image_mean") or self.image_mean))
            if self.value_scaling is None and self.do_rescale and self.rescale_factor == BYTE_FACTOR:
                for array in arrays:
                    check_byte_range(array)
            images = [resize_longest_edge(array, longest) for array in arrays]
            if segmentation_maps is not None:
                maps = [to_label_map(label_map) for label_map in as_list(segmentation_maps)]
                sizes = [edge_size(label_map.shape, longest) for label_map in maps]
                segmentation_maps = [
                    resize_labels(label_map, {"height": height, "width": width})
                    for label_map, (height, width) in zip(maps, sizes, strict=True)
                ]
        return super().preprocess(images, segmentation_maps, do_resize=False, return_tensors=return_tensors, **kwargs)

    def post_process_semantic_segmentation(
        self,
        outputs: Any,
        target_sizes: Sequence[tuple[int, int]] | None = None,
        threshold: float = 0.0,
        background: int = 0,
    ) -> list[torch.Tensor]:
        """Class maps of the outputs of [`SegEarthOVForSemanticSegmentation`].

        Args:
            outputs: an output with `logits`, the logarithms of probabilities.
            target_sizes: `(height, width)` per image to which the logits are resized (bilinear) first. `output_size`
                in the call of the model resizes exactly as the official code.
            threshold: where no class has this probability, the pixel becomes `background`.
            background: a class id.

        Returns:
            One int64 tensor `(height, width)` of class ids per image.

        Raises:
            ValueError: if there is not one target size per image, or the background is not a class.
        """
        maps = super().post_process_semantic_segmentation(outputs, target_sizes)
        if threshold <= 0:
            return maps
        if not 0 <= background < outputs.logits.shape[1]:
            raise ValueError(f"background is {background}, expected a class from 0 to {outputs.logits.shape[1] - 1}")
        logits = zip(outputs.logits, target_sizes or [outputs.logits.shape[2:]] * len(maps), strict=True)
        certain = [resize_logits(image, size).amax(dim=0).exp() >= threshold for image, size in logits]
        return [ids.where(sure, background) for ids, sure in zip(maps, certain, strict=True)]


class SegEarthOVProcessor(ProcessorMixin):
    """Image processor and tokenizer of [`SegEarthOVForSemanticSegmentation`].

    Args:
        image_processor: a [`SegEarthOVImageProcessor`].
        tokenizer: of the CLIP model.
    """

    def __init__(self, image_processor: SegEarthOVImageProcessor, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(image_processor, tokenizer)

    def __call__(self, images: ImageLike | Sequence[ImageLike], **kwargs: Any) -> BatchFeature:
        """Images as `pixel_values`; see `SegEarthOVImageProcessor.preprocess`."""
        return self.image_processor(images, **kwargs)

    def post_process_semantic_segmentation(self, *args: Any, **kwargs: Any) -> list[torch.Tensor]:
        """As the image processor's."""
        return self.image_processor.post_process_semantic_segmentation(*args, **kwargs)

    def encode_queries(self, queries: Sequence[str], longest: int) -> torch.Tensor:
        """The prompts of names: every template with every name.

        Args:
            queries: names, each of one class.
            longest: tokens that the text encoder takes.

        Returns:
            int64 `(queries, templates, tokens)`, padded.

        Raises:
            ValueError: if a prompt has more tokens than `longest`; names the query.
        """
        lists = [self.tokenizer([template.format(query) for template in TEMPLATES])["input_ids"] for query in queries]
        for query, prompts in zip(queries, lists, strict=True):
            most = max(map(len, prompts))
            if most > longest:
                raise ValueError(
                    f"the name {query!r} makes prompts of up to {most} tokens, the text encoder takes {longest}; "
                    "expected shorter names, or synonyms separated by commas"
                )
        width = max(len(prompt) for prompts in lists for prompt in prompts)
        # Padded with the end of the text, behind which the text encoder does not look.
        end = self.tokenizer.eos_token_id
        padded = [[prompt + [end] * (width - len(prompt)) for prompt in prompts] for prompts in lists]
        return torch.tensor(padded)


def read_longest_edge(size: Size) -> dict[str, int]:
    """A size as `{"longest_edge": ...}`.

    Raises:
        ValueError: for another form.
    """
    side = size.get("longest_edge") if hasattr(size, "get") and len(size) == 1 else size
    if not isinstance(side, (int, np.integer)) or isinstance(side, bool) or side < 1:
        raise ValueError(f'size is {size!r}, expected {{"longest_edge": ...}} or one number, in whole pixels from 1')
    return {"longest_edge": int(side)}


def edge_size(shape: Sequence[int], longest: int) -> tuple[int, int]:
    """Height and width of an image of `shape` (height, width, ...) once its longer side is `longest`."""
    scale = longest / max(shape[:2])
    height, width = (max(1, int(side * scale + 0.5)) for side in shape[:2])
    return height, width


def resize_longest_edge(array: np.ndarray, longest: int) -> np.ndarray:
    """Resize `(height, width, channels)` bilinearly without antialiasing; whole numbers are rounded."""
    size = edge_size(array.shape, longest)
    if size == array.shape[:2]:
        return array
    return resize_plainly(array, size)


__all__ = ["SegEarthOVImageProcessor", "SegEarthOVProcessor"]
