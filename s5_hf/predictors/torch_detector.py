"""The detector of this package as a detector of scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING

from ..hub.model_folder import require_model_folder
from ..modeling import S5DetectionConfig, S5ForOrientedObjectDetection
from ..modeling.detection_post_processing import find_objects
from .devices import default_device, usable_device
from .image_probabilities import NonFiniteOutputError
from .interfaces import Detections, SceneDetector
from .tasks import choose_task
from .torch_network import TorchNetwork, load_network, refuse_torch_options

__all__ = ["TorchDetector", "load_detector"]


class TorchDetector(TorchNetwork):
    """An oriented detector for one task, whose name it knows also where it is the only one; see `SceneDetector`.

    Args:
        model, task, **options: as `TorchNetwork`.

    Raises:
        ValueError: as `TorchNetwork`.
    """

    def __init__(self, model: S5ForOrientedObjectDetection, task: str | None = None, **options: Any) -> None:
        super().__init__(model, choose_task(model.config.tasks, task), **options)

    @torch.inference_mode()
    def detect(
        self, pixel_values: Tensor, threshold: float, iou_threshold: float, max_detections: int
    ) -> list[Detections]:
        """The objects in normalised images; see `SceneDetector`.

        Raises:
            NonFiniteOutputError: the network gives NaN or infinity; has the index of the image in the batch.
        """
        with self.arithmetic():
            outputs = self._forward(pixel_values=pixel_values)
        found = []
        for index, (logits, boxes) in enumerate(zip(outputs.logits, outputs.pred_boxes, strict=True)):
            if not (logits.isfinite().all() and boxes.isfinite().all()):
                raise NonFiniteOutputError(f"image {index} of a batch", index)
            found.append(find_objects(logits, boxes, threshold, iou_threshold, max_detections))
        return found


def load_detector(
    model: str | Path | PreTrainedModel | SceneDetector,
    task: str | None = None,
    device: str | torch.device | None = None,
    precision: str = "fp32",
) -> SceneDetector:
    """A detector of scenes.

    Args:
        model: a folder, a Hub repository, a known name or an ONNX file; a model, which is assumed to expect
            ImageNet's normalisation; or a detector of scenes, which is taken as it is.
        task: of a model with several.
        device: the default is the first GPU, or else the processor.
        precision: `"fp32"`, `"bf16"`, or `"auto"`: bf16 where the device has it natively.

    Raises:
        OSError: there is no such model, or it has no image processor.
        ValueError: the model is not an oriented detector, or as `load_network` and `TorchDetector`.
    """
    if isinstance(model, (str, Path)):
        if str(model).endswith(".onnx"):
            return _load_onnx(model, task, device, precision)
        require_model_folder(model)
        require_detector(AutoConfig.from_pretrained(model), str(model))
    elif isinstance(model, PreTrainedModel):
        require_detector(model.config, type(model).__name__)
    else:
        refuse_torch_options(model, task=task, device=device, precision=precision)
        return model
    device = usable_device(device or default_device())
    network, settings = load_network(model, S5ForOrientedObjectDetection)
    return TorchDetector(network, task, device=device, precision=precision, **vars(settings))


def _load_onnx(path: str | Path, task: str | None, device: object, precision: str) -> SceneDetector:
    from .onnx_detector import OnnxDetector

    refuse_torch_options(path, device=device, precision=precision)
    return OnnxDetector(path, task=task)


def require_detector(config: PretrainedConfig, name: str) -> None:
    """Raise a ValueError unless a model is an oriented detector; of a segmenter it names the command for it."""
    if isinstance(config, S5DetectionConfig):
        return
    if type(config) in MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING:
        raise ValueError(
            f"{name} is a segmentation model ({config.model_type}): `s5-hf predict` makes maps of classes with it. "
            "Detection needs an oriented detector, such as s5-vit-b-moe-det"
        )
    raise ValueError(
        f"{name} is a model of the type {config.model_type!r}; expected an oriented detector, "
        f"{S5DetectionConfig.model_type!r}"
    )
