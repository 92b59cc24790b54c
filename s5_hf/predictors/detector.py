"""What a scene needs of a detector: any network, in torch or not, behind a few attributes and one method."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["Detections", "SceneDetector"]

Detections = dict[str, Tensor]
"""`boxes` `(n, 5)` (cx, cy, w, h in pixels, theta in radians, clockwise on the screen), `scores` `(n,)` in 0..1 and
`labels` int64 `(n,)`, best first."""


@runtime_checkable
class SceneDetector(Protocol):
    """A detector of oriented objects for one task, on one device.

    Attributes:
        labels: class names in the order of their ids.
        image_mean, image_std: for normalisation, one number per channel on the scale 0..1. Their length is the
            number of channels the network takes.
        device: where `detect` takes its input.
        fingerprint: changes whenever the detections would: a resumed run asks for the same one.
    """

    labels: Sequence[str]
    image_mean: Sequence[float]
    image_std: Sequence[float]
    device: torch.device
    fingerprint: str

    def detect(
        self, pixel_values: Tensor, threshold: float, iou_threshold: float, max_detections: int
    ) -> list[Detections]:
        """The objects in normalised images.

        Args:
            pixel_values: float32 `(batch, channels, height, width)` on `device`, any height and width.
            threshold: least score, exclusive.
            iou_threshold: of two objects of a class that overlap by more than this rotated IoU the better one stays.
            max_detections: the best that are kept per image.

        Returns:
            Per image its objects, in pixels of the image. Boxes may reach beyond it.

        Raises:
            NonFiniteOutputError: the network gives NaN or infinity; has the index of the image in the batch.
        """
        ...
