"""What SegEarth-R1 is given: images in a square frame, and questions within its prompt, as tokens."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedTokenizerBase, ProcessorMixin
from transformers.image_processing_base import BatchFeature
from transformers.utils import TensorType

from .configuration_segearth_r1 import visual_tokens
from .image_arrays import ImageLike, Size, as_list, resize_plainly, to_label_map
from .image_processing_s5 import S5ImageProcessor
from .processing_segearth_ov import read_longest_edge
from .prompt_sequence import ANSWER, IGNORED, IMAGE, REFER, SEGMENT, PromptSequences, fill_places

LONGEST_EDGE = 1024
SEGMENT_TOKEN, PADDING_TOKEN = "[SEG]", "[PAD]"
NO_TARGET = "There is no target object in the image."
"""The answer to a question about something that is not there."""

SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
BEFORE_IMAGE = f"[INST] <<SYS>>\n{SYSTEM}\n<</SYS>>\n\nThis is an image "
KINDS = {"reasoning": "Reasoning", "referring": "Referring"}


class SegEarthR1ImageProcessor(S5ImageProcessor):
    """As [`S5ImageProcessor`], but images lie in the middle of a square, on black, as published.

    Args:
        size: `{"longest_edge": ...}` or a number: the side of the square in pixels, and of the longer side of images.
        **kwargs: further arguments of `S5ImageProcessor`.

    Raises:
        ValueError: for a size of another form, or as `S5ImageProcessor`.
    """

    def __init__(self, size: Size | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = read_longest_edge(LONGEST_EDGE if size is None else size)

    @property
    def side(self) -> int:
        """Of the square, in pixels."""
        return self.size["longest_edge"]

    def preprocess(
        self,
        images: ImageLike | Sequence[ImageLike],
        segmentation_maps: ImageLike | Sequence[ImageLike] | None = None,
        return_tensors: str | TensorType | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare images of any sizes, and masks if given (the frame around them is 0).

        Arguments and errors as `S5ImageProcessor.preprocess`; the size cannot be another for one call.
        """
        maps = None if segmentation_maps is None else [self.frame_mask(one) for one in as_list(segmentation_maps)]
        return super().preprocess(images, maps, do_resize=False, return_tensors=return_tensors, **kwargs)

    def frame_mask(self, mask: ImageLike) -> np.ndarray:
        """A label map `(height, width)` in the square; nearest neighbour."""
        array = torch.from_numpy(to_label_map(mask).astype(np.float32))
        size = fitted_size(array.shape, self.side)
        resized = functional.interpolate(array[None, None], size=size, mode="nearest")[0, 0]
        return in_the_middle(resized.numpy().astype(np.int64), self.side)

    def place(self, size: Sequence[int]) -> tuple[slice, slice]:
        """Rows and columns of the square in which an image of `size` (height, width) lies."""
        inner = fitted_size(size, self.side)
        starts = [(self.side - length) // 2 for length in inner]
        return tuple(slice(start, start + length) for start, length in zip(starts, inner, strict=True))

    def post_process_masks(self, outputs: Any, target_sizes: Sequence[tuple[int, int]]) -> list[torch.Tensor]:
        """The masks of the outputs of [`SegEarthR1ForPixelReasoning`], bool `(height, width)`.

        Args:
            outputs: an output with `mask_logits`.
            target_sizes: height and width of every image before it was prepared.
        """
        return [logits > 0 for logits in self.post_process_logits(outputs, target_sizes)]

    def post_process_logits(self, outputs: Any, target_sizes: Sequence[tuple[int, int]]) -> list[torch.Tensor]:
        """The logits of the masks at the sizes of the images, float32 `(height, width)`, without the frame.

        Raises:
            ValueError: if there is not one target size per image.
        """
        if len(target_sizes) != len(outputs.mask_logits):
            raise ValueError(f"got {len(target_sizes)} target sizes for {len(outputs.mask_logits)} images")
        found = []
        for logits, size in zip(self.frame_logits(outputs), target_sizes, strict=True):
            inner = logits[(None, None, *self.place(size))]
            resized = functional.interpolate(inner, size=tuple(map(int, size)), mode="bilinear", align_corners=False)
            found.append(resized[0, 0])
        return found

    def frame_logits(self, outputs: Any) -> torch.Tensor:
        """The logits `(batch, side, side)` in the square, in which the published scores are counted."""
        size = (self.side, self.side)
        return functional.interpolate(outputs.mask_logits.float(), size=size, mode="bilinear", align_corners=False)[
            :, 0
        ]

    def _channels(self, images: Sequence[ImageLike], num_channels: int) -> list[np.ndarray]:
        """Images as arrays `(side, side, channels)`; the frame is black before the normalisation, as published."""
        arrays = super()._channels(images, num_channels)
        return [
            in_the_middle(resize_plainly(array, fitted_size(array.shape, self.side)), self.side) for array in arrays
        ]


class SegEarthR1Processor(ProcessorMixin):
    """Image processor and tokenizer of [`SegEarthR1ForPixelReasoning`].

    Args:
        image_processor: a [`SegEarthR1ImageProcessor`].
        tokenizer: of the language model, with the tokens `[PAD]` and `[SEG]` (see `add_tokens`).

    Raises:
        ValueError: if the tokenizer has no `[SEG]`.
    """

    def __init__(self, image_processor: SegEarthR1ImageProcessor, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(image_processor, tokenizer)
        if SEGMENT_TOKEN not in tokenizer.get_vocab():
            raise ValueError(f"the tokenizer has no {SEGMENT_TOKEN}: call SegEarthR1Processor.add_tokens(tokenizer)")

    @staticmethod
    def add_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
        """Let a tokenizer know `[PAD]` and `[SEG]`; the model needs as many tokens as it then has."""
        tokenizer.add_special_tokens({"pad_token": PADDING_TOKEN})
        tokenizer.add_tokens([SEGMENT_TOKEN], special_tokens=True)

    def __call__(
        self,
        images: ImageLike | Sequence[ImageLike],
        text: str | Sequence[str],
        answers: Sequence[str] | None = None,
        segmentation_maps: ImageLike | Sequence[ImageLike] | None = None,
        kind: str = "reasoning",
        return_tensors: str | TensorType | None = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """Images, and a question or words that refer to something for each of them.

        Args:
            images: as `S5ImageProcessor.preprocess` takes them, of any sizes.
            text: one per image; a single string is for a single image.
            answers: what is learned as the answer, one per image; an empty one says that there is no such thing.
                Without them prompts end with the question, because what follows cannot change a mask.
            segmentation_maps: masks, 0 and 1, of the images.
            kind: `reasoning` or `referring`.
            return_tensors: for the images; `"pt"` or `"np"`.
            **kwargs: further arguments of `SegEarthR1ImageProcessor.preprocess`.

        Returns:
            `pixel_values`, `input_ids`, `attention_mask` and `refer_mask`, with answers `labels` (of tokens), with
            masks `mask_labels`.

        Raises:
            ValueError: for an empty question, or not one per image.
        """
        batch = self.image_processor(images, segmentation_maps, return_tensors=return_tensors, **kwargs)
        questions = [text] if isinstance(text, str) else list(text)
        if len(questions) != len(batch["pixel_values"]):
            raise ValueError(f"{len(batch['pixel_values'])} images and {len(questions)} questions, expected as many")
        if "labels" in batch:
            batch["mask_labels"] = batch.pop("labels")
        inputs = self.encode_prompts(questions, answers, kind).as_inputs()
        if answers is None:
            del inputs["labels"]
        batch.update(inputs)
        return batch

    def encode_prompts(
        self, questions: Sequence[str], answers: Sequence[str] | None = None, kind: str = "reasoning"
    ) -> PromptSequences:
        """Prompts as tokens; arguments and errors as `__call__`."""
        empty = [number for number, question in enumerate(questions) if not question.strip()]
        if empty:
            raise ValueError(f"question {empty[0] + 1} of {len(questions)} is empty, expected words")
        answered = answers is not None
        ids, labels = self.template(kind, answered)
        end = [self.tokenizer.convert_tokens_to_ids(SEGMENT_TOKEN)]
        count = len(questions)
        return fill_places(
            [ids] * count,
            [labels] * count,
            [self._tokens(f" {question}") + end for question in questions],
            [self._tokens(answer or NO_TARGET) + end for answer in answers] if answered else [[]] * count,
            visual_tokens(self.image_processor.side),
        )

    def template(self, kind: str, answered: bool) -> tuple[list[int], list[int]]:
        """The prompt as ids with places, and its labels.

        Args:
            kind: `reasoning` or `referring`.
            answered: whether it goes on after the question.

        Raises:
            ValueError: for another kind.
        """
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
        asking = f", Please doing {KINDS[kind]} Segmentation according to the following instruction:\n"
        ids = [*self._tokens(BEFORE_IMAGE), IMAGE, *self._tokens(asking), REFER]
        if not answered:
            return ids, [IGNORED] * len(ids)
        ids += self._tokens(" [/INST]")
        end = self.tokenizer.eos_token
        if kind == "reasoning":
            after = [*self._tokens(" Sure, It is "), SEGMENT, *self._tokens(". \n"), ANSWER, *self._tokens(f". {end}")]
        else:
            after = [*self._tokens(" \nSure. It is "), SEGMENT, *self._tokens(f".  {end}")]
        return ids + after, [IGNORED] * len(ids) + after

    def _tokens(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def post_process_masks(self, *args: Any, **kwargs: Any) -> list[torch.Tensor]:
        """As the image processor's."""
        return self.image_processor.post_process_masks(*args, **kwargs)


def fitted_size(size: Sequence[int], side: int) -> tuple[int, int]:
    """Height and width of an image whose longer side becomes `side`; the other is rounded down, as published."""
    scale = side / max(size[:2])
    height, width = (side if length == max(size[:2]) else max(1, int(length * scale)) for length in size[:2])
    return height, width


def in_the_middle(array: np.ndarray, side: int) -> np.ndarray:
    """An array `(height, width, ...)` in the middle of a square of zeros; a missing odd line is below and right."""
    before = [(side - length) // 2 for length in array.shape[:2]]
    margins = [(first, side - length - first) for first, length in zip(before, array.shape[:2], strict=True)]
    return np.pad(array, [*margins, *[(0, 0)] * (array.ndim - 2)])


__all__ = ["SegEarthR1ImageProcessor", "SegEarthR1Processor"]
