"""What scenes and evaluations need of a network, in torch or not: a few attributes and one method."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["Detections", "NormalizedInput", "SceneDetector", "SceneRoadNetwork", "SceneSegmenter"]

Detections = dict[str, Tensor]
"""`boxes` `(n, 5)` (cx, cy, w, h in pixels, theta in radians, clockwise on the screen), `scores` `(n,)` in 0..1 and
`labels` int64 `(n,)`, best first."""


@runtime_checkable
class NormalizedInput(Protocol):
    """A network for one task, on one device, that takes normalised images.

    It may also have `value_scaling` (a [`ValueScaling`], the ranges that become 0..255 first) and `bands` (of a file
    that become the channels): images and scenes are then read as in its training.

    Attributes:
        image_mean, image_std: for normalisation, one number per channel on the scale 0..1. Their length is the
            number of channels that the network takes.
        device: where the network takes its input and leaves its output.
        fingerprint: changes whenever the predictions would; a resumed run asks for the same one.
    """

    image_mean: Sequence[float]
    image_std: Sequence[float]
    device: torch.device
    fingerprint: str


@runtime_checkable
class SceneSegmenter(NormalizedInput, Protocol):
    """A segmentation network.

    Attributes:
        num_labels: number of classes.
        id2label: class id, 0..num_labels - 1, to class name.
    """

    num_labels: int
    id2label: Mapping[int, str]

    def predict(self, pixel_values: Tensor) -> Tensor:
        """Class logits of normalised images.

        Args:
            pixel_values: float32 `(batch, channels, height, width)` on `device`; height and width are multiples
                of 16.

        Returns:
            Logits `(batch, num_labels, height, width)`, float32, on `device`.
        """
        ...


@runtime_checkable
class SceneDetector(NormalizedInput, Protocol):
    """A detector of oriented objects.

    Attributes:
        labels: class names in the order of their ids.
    """

    labels: Sequence[str]

    def detect(
        self, pixel_values: Tensor, threshold: float, iou_threshold: float, max_detections: int
    ) -> list[Detections]:
        """The objects in normalised images.

        Args:
            pixel_values: float32 `(batch, channels, height, width)` on `device`, any height and width.
            threshold: lowest score, exclusive.
            iou_threshold: of two objects of a class that overlap by more than this rotated IoU, the better one stays.
            max_detections: how many are kept per image, the best ones.

        Returns:
            The objects of each image, in pixels of the image. Boxes may reach beyond it.

        Raises:
            NonFiniteOutputError: the network gives NaN or infinity; has the index of the image in the batch.
        """
        ...


@runtime_checkable
class SceneRoadNetwork(NormalizedInput, Protocol):
    """A network that finds nodes of roads and says which of them are connected."""

    def look(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """What the network sees in normalised images.

        Args:
            pixel_values: float32 `(batch, channels, height, width)` on `device`.

        Returns:
            scores: of keypoints and of roads, float32 `(batch, 2, height, width)` in 0..1, on `device`.
            features: float32, `(batch, ...)`, what `connect` wants to have back, on `device`.
        """
        ...

    def connect(self, scores: Tensor, features: Tensor, points: Tensor, neighbours: Tensor, valid: Tensor) -> Tensor:
        """How surely points of one image are connected with their neighbours.

        Args:
            scores, features: of the image, as `look` gave them, without the batch dimension.
            points: float32 `(n, 2)`, x and y in pixels of the image.
            neighbours: int64 `(n, count)`, numbers of points.
            valid: bool `(n, count)`: which of them are asked about.

        Returns:
            float32 `(n, count)` in 0..1 on `device`; what is not valid means nothing.
        """
        ...
