"""An ONNX file as the detector of a scene: onnxruntime in place of torch."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..export.metadata import NOTHING
from ..modeling.detection_post_processing import find_objects
from ..modeling.image_sizes import pad_to_patches
from .image_probabilities import NonFiniteOutputError
from .interfaces import Detections
from .onnx_network import OnnxNetwork

__all__ = ["OnnxDetector"]


class OnnxDetector(OnnxNetwork):
    """An exported oriented detector, with non-maximum suppression inside the file or after it; see `SceneDetector`.

    Args:
        path, providers, task: as `OnnxNetwork`.

    Attributes:
        task: that of the file.

    Raises:
        FileNotFoundError, ImportError, ValueError: as `OnnxNetwork`.
    """

    def __init__(self, path: str | Path, providers: Sequence[str] | None = None, task: str | None = None) -> None:
        super().__init__(path, ("objects", "boxes"), providers, task)
        self.task = self.metadata.task
        self._outputs = [output.name for output in self._session.get_outputs()]

    def detect(
        self, pixel_values: torch.Tensor, threshold: float, iou_threshold: float, max_detections: int
    ) -> list[Detections]:
        """The objects in normalised images; see `SceneDetector`.

        Raises:
            NonFiniteOutputError: the network gives NaN or infinity; has the index of the image in the batch.

        Warns:
            UserWarning: more boxes are above the threshold than the suppression inside the file takes.
        """
        padded = pad_to_patches(pixel_values.to(self.device, torch.float32), self.metadata.size_multiple)
        inputs = {
            "pixel_values": padded.contiguous().numpy(),
            "image_sizes": np.array([pixel_values.shape[2:]] * len(pixel_values), dtype=np.int64),
        }
        if self.metadata.kind == "objects":
            inputs["score_threshold"] = np.array(threshold, dtype=np.float32)
            inputs["iou_threshold"] = np.array(iou_threshold, dtype=np.float32)
        arrays = self._session.run(self._outputs, inputs)
        outputs = dict(zip(self._outputs, map(torch.from_numpy, arrays), strict=True))
        images = [{name: values[index] for name, values in outputs.items()} for index in range(len(pixel_values))]
        if self.metadata.kind == "objects":
            return [self._objects(image, index, max_detections) for index, image in enumerate(images)]
        found = []
        for index, image in enumerate(images):
            _require_finite(bool(image["logits"].isfinite().all() and image["boxes"].isfinite().all()), index)
            logits, boxes = image["logits"][image["exists"]], image["boxes"][image["exists"]]
            found.append(find_objects(logits, boxes, threshold, iou_threshold, max_detections))
        return found

    def _objects(self, image: dict[str, torch.Tensor], index: int, max_detections: int) -> Detections:
        """What the file found in one image of a batch."""
        candidates, taken = int(image["candidates"]), len(image["scores"])
        _require_finite(candidates >= 0, index)
        if candidates > taken:
            warnings.warn(
                f"{self.name}: {candidates:,} boxes of an image are above the threshold, but the file takes the "
                f"{taken:,} best. Raise the threshold, or export with more --candidates or --suppression after",
                stacklevel=3,
            )
        count = min(int((image["scores"] > NOTHING).sum()), max_detections)
        return {name: image[name][:count] for name in ("scores", "labels", "boxes")}


def _require_finite(finite: bool, index: int) -> None:
    if not finite:
        raise NonFiniteOutputError(f"image {index} of a batch", index)
