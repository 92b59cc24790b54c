"""What a scene needs of a segmenter: any network, in torch or not, behind a few attributes and one method."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch

__all__ = ["NormalizedInput", "SceneSegmenter"]


class NormalizedInput(Protocol):
    """A network that takes normalised images on a device; the attributes are those of `SceneSegmenter`."""

    image_mean: Sequence[float]
    image_std: Sequence[float]
    device: torch.device


@runtime_checkable
class SceneSegmenter(Protocol):
    """A segmentation network for one task, on one device.

    Attributes:
        num_labels: number of classes.
        id2label: class id, 0..num_labels - 1, to class name.
        image_mean, image_std: for normalisation, one number per channel on the scale 0..1. Their length is the
            number of channels the network takes.
        device: where `predict` takes its input and leaves its output.
        fingerprint: changes whenever the predictions would: a resumed run asks for the same one.
    """

    num_labels: int
    id2label: Mapping[int, str]
    image_mean: Sequence[float]
    image_std: Sequence[float]
    device: torch.device
    fingerprint: str

    def predict(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Class logits of normalised images.

        Args:
            pixel_values: float32 `(batch, channels, height, width)` on `device`; height and width are multiples
                of 16.

        Returns:
            Logits `(batch, num_labels, height, width)`, float32, on `device`.
        """
        ...
