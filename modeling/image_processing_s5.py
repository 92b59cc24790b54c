"""Image processor of S5: Pillow and NumPy only, torchvision is never needed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from transformers.image_processing_base import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor
from transformers.utils import TensorType

from .detection_post_processing import find_objects
from .oriented_boxes import oriented_boxes_to_horizontal

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ImageLike = Image.Image | np.ndarray | torch.Tensor


class S5ImageProcessor(BaseImageProcessor):
    """Images to normalised `pixel_values`, label maps to `labels`, outputs back to class maps or to objects.

    Images keep their size by default: the networks take any size. A batch needs one common size, so images of
    different sizes either come one by one or with `do_resize=True`.

    Args:
        do_resize: whether to resize to `size`; label maps follow with nearest neighbour.
        size: `{"height": ..., "width": ...}` in pixels.
        resample: Pillow filter for images (2 is bilinear).
        do_rescale: whether to multiply by `rescale_factor` first (0..255 to 0..1).
        rescale_factor: factor of `do_rescale`.
        do_normalize: whether to subtract `image_mean` and divide by `image_std`.
        image_mean, image_std: one number per channel (default: ImageNet's, as in S5). Their length is the number of
            channels the images must have.
    """

    model_input_names = ["pixel_values"]  # noqa: RUF012 - transformers' own form

    def __init__(
        self,
        do_resize: bool = False,
        size: dict[str, int] | None = None,
        resample: int = Image.Resampling.BILINEAR,
        do_rescale: bool = True,
        rescale_factor: float = 1 / 255,
        do_normalize: bool = True,
        image_mean: Sequence[float] = IMAGENET_MEAN,
        image_std: Sequence[float] = IMAGENET_STD,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.do_resize = do_resize
        self.size = size if size is not None else {"height": 512, "width": 512}
        self.resample = int(resample)
        self.do_rescale = do_rescale
        self.rescale_factor = rescale_factor
        self.do_normalize = do_normalize
        self.image_mean = list(image_mean)
        self.image_std = list(image_std)

    def preprocess(
        self,
        images: ImageLike | Sequence[ImageLike],
        segmentation_maps: ImageLike | Sequence[ImageLike] | None = None,
        do_resize: bool | None = None,
        size: dict[str, int] | None = None,
        do_rescale: bool | None = None,
        do_normalize: bool | None = None,
        return_tensors: str | TensorType | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare images, and label maps if given.

        Args:
            images: one image or several: Pillow images of any mode, or arrays `(height, width)`,
                `(height, width, channels)` or `(channels, height, width)`, 0..255.
            segmentation_maps: class ids of the same sizes, if labels are wanted.
            do_resize, size, do_rescale, do_normalize: for this call, in place of the processor's own.
            return_tensors: `"pt"` or `"np"`.

        Returns:
            `pixel_values` float32 `(batch, channels, height, width)` and, with maps, `labels` int64
            `(batch, height, width)`.

        Raises:
            ValueError: for no images, a wrong number of channels, sizes that differ within the batch, or label maps
                that do not fit their images.
            TypeError: for something that is no image.
        """
        do_resize = self.do_resize if do_resize is None else do_resize
        size = self.size if size is None else size
        arrays = [to_channels_last(image, len(self.image_mean)) for image in as_list(images)]
        if do_resize:
            arrays = [resize_image(array, size, self.resample) for array in arrays]
        require_one_size([array.shape[:2] for array in arrays])

        pixels = np.stack(arrays).astype(np.float32)
        if self.do_rescale if do_rescale is None else do_rescale:
            pixels *= self.rescale_factor
        if self.do_normalize if do_normalize is None else do_normalize:
            pixels -= np.asarray(self.image_mean, dtype=np.float32)
            pixels /= np.asarray(self.image_std, dtype=np.float32)
        data = {"pixel_values": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))}

        if segmentation_maps is not None:
            maps = [np.asarray(label_map).astype(np.int64) for label_map in as_list(segmentation_maps)]
            if do_resize:
                maps = [resize_labels(label_map, size) for label_map in maps]
            check_label_maps(maps, pixels.shape[:3])
            data["labels"] = np.stack(maps)
        return BatchFeature(data=data, tensor_type=return_tensors)

    def post_process_semantic_segmentation(
        self, outputs: Any, target_sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[torch.Tensor]:
        """Class maps of the outputs of [`S5ForSemanticSegmentation`].

        Args:
            outputs: an output with `logits`, a tensor for one task or a list of one tensor per image.
            target_sizes: `(height, width)` per image to which the logits are resized (bilinear) first.

        Returns:
            One int64 tensor `(height, width)` of class ids per image.

        Raises:
            ValueError: if there is not one target size per image.
        """
        logits = list(outputs.logits)
        if target_sizes is None:
            return [image.argmax(dim=0) for image in logits]
        if len(target_sizes) != len(logits):
            raise ValueError(f"got {len(target_sizes)} target sizes for {len(logits)} images")
        return [resize_logits(image, size).argmax(dim=0) for image, size in zip(logits, target_sizes, strict=True)]

    def post_process_oriented_object_detection(
        self,
        outputs: Any,
        threshold: float = 0.05,
        target_sizes: Sequence[tuple[int, int]] | torch.Tensor | None = None,
        iou_threshold: float = 0.1,
        max_detections: int = 2000,
    ) -> list[dict[str, torch.Tensor]]:
        """The objects in the outputs of [`S5ForOrientedObjectDetection`]; the defaults are the published ones.

        Args:
            outputs: an output with `logits`, `pred_boxes` and `image_sizes`.
            threshold: least score, exclusive.
            target_sizes: `(height, width)` per image, if the boxes are wanted in pixels of images of other sizes than
                those the model saw (the originals, where `do_resize=True`).
            iou_threshold: of two objects of a class that overlap by more than this rotated IoU the better one stays.
            max_detections: the best that are kept per image.

        Returns:
            Per image `scores` `(n,)`, `labels` int64 `(n,)` and oriented `boxes` `(n, 5)`: cx, cy, w, h in pixels,
            theta in radians, clockwise on the screen. Best first. Boxes may reach beyond the image.

        Raises:
            ValueError: if the outputs hold no predictions, or there is not one target size per image.
        """
        if outputs.logits is None:
            raise ValueError("the outputs hold no predictions: in training mode with labels there are only losses")
        sizes = torch.as_tensor(outputs.image_sizes).tolist()
        targets = sizes if target_sizes is None else torch.as_tensor(target_sizes).tolist()
        if len(targets) != len(sizes):
            raise ValueError(f"got {len(targets)} target sizes for {len(sizes)} images")
        return [
            find_objects(
                logits,
                boxes,
                threshold,
                iou_threshold,
                max_detections,
                scale=(target[0] / size[0], target[1] / size[1]),
            )
            for logits, boxes, size, target in zip(outputs.logits, outputs.pred_boxes, sizes, targets, strict=True)
        ]

    def post_process_object_detection(
        self,
        outputs: Any,
        threshold: float = 0.5,
        target_sizes: Sequence[tuple[int, int]] | torch.Tensor | None = None,
    ) -> list[dict[str, torch.Tensor]]:
        """As `post_process_oriented_object_detection`, with horizontal hulls `(n, 4)` (left, top, right, bottom).

        This is what `pipeline("object-detection")` asks for.
        """
        found = self.post_process_oriented_object_detection(outputs, threshold, target_sizes)
        return [{**image, "boxes": oriented_boxes_to_horizontal(image["boxes"])} for image in found]


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
    """An image as an array `(height, width, num_channels)`; grey images are repeated over the channels."""
    if isinstance(image, Image.Image):
        if image.mode.startswith("I") or image.mode == "F":
            raise ValueError(f"the image has the mode {image.mode!r}, expected 8 bits per channel; scale it to 0..255")
        array = np.asarray(image.convert("RGB") if num_channels == 3 else image)
    elif isinstance(image, (np.ndarray, torch.Tensor)):
        array = np.asarray(image)
    else:
        raise TypeError(f"expected a Pillow image, an array or a tensor, got {type(image).__name__}")
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], num_channels, axis=2)
    if array.ndim != 3 or num_channels not in (array.shape[0], array.shape[2]):
        raise ValueError(f"an image has the shape {array.shape}, expected {num_channels} channels, first or last")
    return array if array.shape[2] == num_channels else array.transpose(1, 2, 0)


def resize_image(array: np.ndarray, size: dict[str, int], resample: int) -> np.ndarray:
    """Resize `(height, width, channels)`, channel by channel where Pillow knows no such mode."""
    target = (size["width"], size["height"])
    if array.dtype == np.uint8 and array.shape[2] == 3:
        return np.asarray(Image.fromarray(array).resize(target, resample))
    channels = [Image.fromarray(channel.astype(np.float32)) for channel in array.transpose(2, 0, 1)]
    return np.stack([np.asarray(channel.resize(target, resample)) for channel in channels], axis=2)


def resize_labels(label_map: np.ndarray, size: dict[str, int]) -> np.ndarray:
    """Resize class ids `(height, width)` with nearest neighbour."""
    image = Image.fromarray(label_map.astype(np.int32))
    return np.asarray(image.resize((size["width"], size["height"]), Image.Resampling.NEAREST)).astype(np.int64)


def resize_logits(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize logits `(classes, height, width)` to `(height, width)`, bilinear."""
    size = (int(size[0]), int(size[1]))
    if tuple(logits.shape[1:]) == size:
        return logits
    return functional.interpolate(logits[None].float(), size=size, mode="bilinear", align_corners=False)[0]


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


__all__ = ["S5ImageProcessor"]
