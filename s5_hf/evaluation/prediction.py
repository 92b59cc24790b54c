"""Class probabilities of images under an evaluation protocol."""

import numpy as np
import torch
from torch.nn import functional

from ..curation.segmenter import Segmenter
from ..inference.test_time_augmentation import predict_probabilities
from ..modeling.image_processing_s5 import resize_image
from .protocol import Protocol

__all__ = ["class_probabilities"]


@torch.inference_mode()
def class_probabilities(segmenter: Segmenter, images: np.ndarray, protocol: Protocol) -> torch.Tensor:
    """Probabilities of the classes in every pixel.

    The mean of softmax probabilities is taken over windows, flips and scales, each with the same weight.

    Args:
        segmenter: the network with its normalisation.
        images: uint8 `(batch, height, width, channels)`.
        protocol: sizes, windows and views.

    Returns:
        float32 `(batch, classes, height, width)` on the segmenter's device, at the size of the images.
    """
    size = images.shape[1:3]
    if protocol.resize is not None:
        side = {"height": protocol.resize, "width": protocol.resize}
        images = np.stack([resize_image(image, side, 2) for image in images])  # 2 is Pillow's bilinear filter
    pixel_values = segmenter.pixel_values(images)
    probabilities = _over_windows(segmenter, pixel_values, protocol)
    if tuple(probabilities.shape[2:]) == tuple(size):
        return probabilities
    return functional.interpolate(probabilities, size=tuple(size), mode="bilinear", align_corners=False)


def _over_windows(segmenter: Segmenter, pixel_values: torch.Tensor, protocol: Protocol) -> torch.Tensor:
    height, width = pixel_values.shape[2:]
    rows, columns = protocol.window_weights(height), protocol.window_weights(width)
    if len(rows) == len(columns) == 1:
        return predict_probabilities(segmenter.probabilities, pixel_values, protocol.flips, protocol.scales)
    total = torch.zeros(len(pixel_values), len(segmenter.labels), height, width, device=pixel_values.device)
    weights = torch.zeros(height, width, device=pixel_values.device)
    for top, row_weight in rows.items():
        for left, column_weight in columns.items():
            seen = (slice(top, top + protocol.window), slice(left, left + protocol.window))
            window = pixel_values[(..., *seen)]
            found = predict_probabilities(segmenter.probabilities, window, protocol.flips, protocol.scales)
            total[(..., *seen)] += found * (row_weight * column_weight)
            weights[seen] += row_weight * column_weight
    return total / weights
