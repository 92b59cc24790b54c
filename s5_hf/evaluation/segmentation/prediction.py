"""Class probabilities of images under an evaluation protocol."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from ...modeling.image_processing_s5 import resize_image
from ...modeling.processing_segearth_ov import resize_longest_edge
from ...predictors.image_probabilities import finite_images, image_probabilities, require_finite
from ...predictors.interfaces import SceneSegmenter
from ...predictors.normalization import channels_first, normalize_pixels
from ...predictors.torch_segmenter import TorchSegmenter
from .named_protocol import NamedProtocol
from .protocol import SegmentationProtocol

__all__ = ["class_ids", "class_probabilities"]


def class_ids(
    segmenter: SceneSegmenter, images: np.ndarray, protocol: SegmentationProtocol, names: Sequence[str]
) -> torch.Tensor:
    """The predicted classes, int64 `(batch, height, width)`; arguments and errors as `class_probabilities`."""
    if isinstance(protocol, NamedProtocol):
        return named_class_ids(segmenter, images, protocol, names)
    return class_probabilities(segmenter, images, protocol, names).argmax(dim=1)


@torch.inference_mode()
def named_class_ids(
    segmenter: TorchSegmenter, images: np.ndarray, protocol: NamedProtocol, names: Sequence[str]
) -> torch.Tensor:
    """The same for an open-vocabulary model: similarities are resized to the image before the softmax."""
    resized = np.stack([resize_longest_edge(image, protocol.longest_side) for image in images])
    pixel_values = normalize_pixels(channels_first(resized), segmenter)
    with segmenter.arithmetic():
        logits = segmenter.model(pixel_values, output_size=images.shape[1:3]).logits.float()
    require_finite(finite_images(logits), lambda index: repr(names[index]))
    best, ids = logits.max(dim=1)
    return ids.where(best.exp() >= protocol.threshold, protocol.background)


@torch.inference_mode()
def class_probabilities(
    segmenter: SceneSegmenter, images: np.ndarray, protocol: SegmentationProtocol, names: Sequence[str]
) -> torch.Tensor:
    """Probabilities of the classes in every pixel.

    The mean of softmax probabilities is taken over windows, flips and scales, each with the same weight.

    Args:
        segmenter: the network with its normalisation.
        images: uint8 `(batch, height, width, channels)`.
        protocol: sizes, windows and views.
        names: of the images, for errors.

    Returns:
        float32 `(batch, classes, height, width)` on the segmenter's device, at the size of the images.

    Raises:
        NonFiniteOutputError: the network gives NaN or infinity; names the image and the window.
    """
    size = images.shape[1:3]
    if protocol.resize is not None:
        side = {"height": protocol.resize, "width": protocol.resize}
        images = np.stack([resize_image(image, side, 2) for image in images])  # 2 is Pillow's bilinear filter
    probabilities = _over_windows(segmenter, channels_first(images), protocol, names)
    if tuple(probabilities.shape[2:]) == tuple(size):
        return probabilities
    return functional.interpolate(probabilities, size=tuple(size), mode="bilinear", align_corners=False)


def _over_windows(
    segmenter: SceneSegmenter, pixels: torch.Tensor, protocol: SegmentationProtocol, names: Sequence[str]
) -> torch.Tensor:
    height, width = pixels.shape[2:]
    rows, columns = protocol.window_weights(height), protocol.window_weights(width)
    if len(rows) == len(columns) == 1:
        found, finite = image_probabilities(segmenter, pixels, protocol.flips, protocol.scales)
        require_finite(finite, lambda index: repr(names[index]))
        return found
    total = torch.zeros(len(pixels), segmenter.num_labels, height, width, device=segmenter.device)
    weights = torch.zeros(height, width, device=segmenter.device)
    for top, row_weight in rows.items():
        for left, column_weight in columns.items():
            seen = (slice(top, top + protocol.window), slice(left, left + protocol.window))
            found, finite = image_probabilities(segmenter, pixels[(..., *seen)], protocol.flips, protocol.scales)
            place = f"the window at row {top}, column {left} of "
            require_finite(finite, lambda index, place=place: f"{place}{names[index]!r}")
            total[(..., *seen)] += found * (row_weight * column_weight)
            weights[seen] += row_weight * column_weight
    return total / weights
