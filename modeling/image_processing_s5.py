"""Image processor of S5: Pillow and NumPy only, torchvision is never needed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from transformers.image_processing_base import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor
from transformers.utils import TensorType

from .detection_post_processing import find_objects
from .image_arrays import (
    ImageLike,
    Size,
    arrange_channels,
    as_list,
    check_byte_range,
    check_label_maps,
    read_size,
    require_one_size,
    resize_image,
    resize_labels,
    to_channels_last,
    to_label_map,
)
from .oriented_boxes import oriented_boxes_to_horizontal
from .value_scaling import ValueScaling

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
BYTE_FACTOR = 1 / 255
_OPTIONAL = ("value_scaling", "bands")  # left out of the configuration where they are None


class S5ImageProcessor(BaseImageProcessor):
    """Images to normalised `pixel_values`, label maps to `labels`, outputs back to class maps or to objects.

    Images keep their size by default: the networks take any size. A batch needs one common size, so images of
    different sizes either come one by one or with `do_resize=True`.

    Args:
        do_resize: whether to resize to `size`; label maps follow with nearest neighbour.
        size: `{"height": ..., "width": ...}` in pixels, or `{"shortest_edge": ...}`, with or without `"longest_edge"`,
            which keeps the proportions; `(height, width)` or one number for a square will do.
        resample: Pillow filter for images (2 is bilinear).
        do_rescale: whether to multiply by `rescale_factor` first (0..255 to 0..1).
        rescale_factor: factor of `do_rescale`. With 1/255 images must lie in 0..255; with any other, and without
            rescaling, they may hold any finite numbers.
        do_normalize: whether to subtract `image_mean` and divide by `image_std`.
        image_mean, image_std: one number per channel (default: ImageNet's, as in S5). Their length is the number of
            channels the images must have.
        value_scaling: `{"low": [...], "high": [...]}`, the range of the values of each channel that becomes 0..255,
            clipped and rounded, before anything else. For images of more than 8 bits; it is measured once, on the
            training images, so that a prediction sees the same. `None` for images that hold 0..255.
        bands: which bands of a file become the channels, by number from 1 or by name. Those who read files take them;
            images that are given here hold the channels already.

    Raises:
        ValueError: for a size of an unknown form, or a mean, deviation or factor that is unfit (a deviation of
            0 would make every pixel infinite).
    """

    model_input_names = ["pixel_values"]  # noqa: RUF012 - transformers' own form

    def __init__(
        self,
        do_resize: bool = False,
        size: Size | None = None,
        resample: int = Image.Resampling.BILINEAR,
        do_rescale: bool = True,
        rescale_factor: float = BYTE_FACTOR,
        do_normalize: bool = True,
        image_mean: Sequence[float] = IMAGENET_MEAN,
        image_std: Sequence[float] = IMAGENET_STD,
        value_scaling: Mapping[str, Sequence[float]] | None = None,
        bands: Sequence[int | str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_normalisation(image_mean, image_std, rescale_factor)
        self.do_resize = do_resize
        self.size = read_size(512 if size is None else size)
        self.resample = int(resample)
        self.do_rescale = do_rescale
        self.rescale_factor = rescale_factor
        self.do_normalize = do_normalize
        self.image_mean = [float(value) for value in image_mean]
        self.image_std = [float(value) for value in image_std]
        self.value_scaling = None if value_scaling is None else ValueScaling.from_dict(value_scaling).to_dict()
        self.bands = None if bands is None else list(bands)
        for name, count in (
            ("value_scaling", len((self.value_scaling or {}).get("low", ()))),
            ("bands", len(bands or ())),
        ):
            if count not in (0, len(self.image_mean)):
                raise ValueError(f"{name} is for {count} channels, image_mean has {len(self.image_mean)}")

    def to_dict(self) -> dict[str, Any]:
        """The configuration; `value_scaling` and `bands` are left out where images are of 8 bits as they are."""
        settings = super().to_dict()
        return {key: value for key, value in settings.items() if value is not None or key not in _OPTIONAL}

    # `SegEarthOVImageProcessor.preprocess` begins alike; transformers reads the arguments from the signatures.
    def preprocess(
        self,
        images: ImageLike | Sequence[ImageLike],
        segmentation_maps: ImageLike | Sequence[ImageLike] | None = None,
        do_resize: bool | None = None,
        size: Size | None = None,
        resample: int | None = None,
        do_rescale: bool | None = None,
        rescale_factor: float | None = None,
        do_normalize: bool | None = None,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
        return_tensors: str | TensorType | None = None,
    ) -> BatchFeature:
        """Prepare images, and label maps if given.

        Args:
            images: one image or several: Pillow images of any mode of 8 bits, or arrays `(height, width)`,
                `(height, width, channels)` or `(channels, height, width)`, 0..255. With a `value_scaling`: of the
                depth that it is for; masked pixels and those that are not finite become 0 in all channels.
            segmentation_maps: class ids of the same sizes, if labels are wanted.
            do_resize, size, resample, do_rescale, rescale_factor, do_normalize, image_mean, image_std: for this call,
                in place of the processor's own.
            return_tensors: `"pt"` or `"np"`.

        Returns:
            `pixel_values` float32 `(batch, channels, height, width)` and, with maps, `labels` int64
            `(batch, height, width)`.

        Raises:
            ValueError: for no images, a wrong number of channels, values that are not finite or do not fit 0..255,
                sizes that differ within the batch, label maps that do not fit their images, or unfit settings.
            TypeError: for something that is not an image, or a setting that does not exist.
        """
        do_resize = self.do_resize if do_resize is None else do_resize
        size = self.size if size is None else read_size(size)
        resample = self.resample if resample is None else int(resample)
        do_rescale = self.do_rescale if do_rescale is None else do_rescale
        rescale_factor = self.rescale_factor if rescale_factor is None else rescale_factor
        do_normalize = self.do_normalize if do_normalize is None else do_normalize
        image_mean = self.image_mean if image_mean is None else image_mean
        image_std = self.image_std if image_std is None else image_std
        check_normalisation(image_mean, image_std, rescale_factor)

        arrays = self._channels(as_list(images), len(image_mean))
        if self.value_scaling is None and do_rescale and math.isclose(rescale_factor, BYTE_FACTOR, rel_tol=1e-3):
            for array in arrays:
                check_byte_range(array)
        if do_resize:
            arrays = [resize_image(array, size, resample) for array in arrays]
        require_one_size([array.shape[:2] for array in arrays])

        pixels = np.stack(arrays).astype(np.float32)
        if do_rescale:
            pixels *= rescale_factor
        if do_normalize:
            pixels -= np.asarray(image_mean, dtype=np.float32)
            pixels /= np.asarray(image_std, dtype=np.float32)
        data = {"pixel_values": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))}

        if segmentation_maps is not None:
            maps = [to_label_map(label_map) for label_map in as_list(segmentation_maps)]
            if do_resize:
                maps = [resize_labels(label_map, size) for label_map in maps]
            check_label_maps(maps, pixels.shape[:3])
            data["labels"] = np.stack(maps)
        return BatchFeature(data=data, tensor_type=return_tensors)

    def _channels(self, images: Sequence[ImageLike], num_channels: int) -> list[np.ndarray]:
        """Images as arrays `(height, width, channels)`, their values scaled."""
        if self.value_scaling is None:
            return [to_channels_last(image, num_channels) for image in images]
        scaling = ValueScaling.from_dict(self.value_scaling)
        return [scaling.to_bytes(arrange_channels(image, num_channels)) for image in images]

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
            threshold: lowest score, exclusive.
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


def resize_logits(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize logits `(classes, height, width)` to `(height, width)`, bilinear."""
    size = (int(size[0]), int(size[1]))
    if tuple(logits.shape[1:]) == size:
        return logits
    return functional.interpolate(logits[None].float(), size=size, mode="bilinear", align_corners=False)[0]


def check_normalisation(image_mean: Sequence[float], image_std: Sequence[float], rescale_factor: float) -> None:
    """Raise a ValueError unless these are numbers that an image can be normalised with."""
    for name, values in (("image_mean", image_mean), ("image_std", image_std)):
        if not isinstance(values, (list, tuple, np.ndarray)) or len(values) == 0 or not np.isfinite(values).all():
            raise ValueError(f"{name} is {values!r}, expected one finite number per channel, such as [0.5, 0.5, 0.5]")
    if len(image_mean) != len(image_std):
        raise ValueError(f"image_mean has {len(image_mean)} numbers and image_std {len(image_std)}, expected as many")
    if min(image_std) <= 0:
        raise ValueError(f"image_std is {list(image_std)}, expected numbers above 0: images are divided by them")
    if not (np.isfinite(rescale_factor) and rescale_factor > 0):
        raise ValueError(f"rescale_factor is {rescale_factor!r}, expected a number above 0")


__all__ = ["S5ImageProcessor"]
