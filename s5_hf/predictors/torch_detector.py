"""The detector of this package as a detector of scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING

from ..hub.model_folder import require_model_folder
from ..modeling import S5DetectionConfig, S5ForOrientedObjectDetection
from ..modeling.detection_post_processing import find_objects
from ..modeling.image_processing_s5 import IMAGENET_MEAN, IMAGENET_STD
from .detector import Detections, SceneDetector
from .devices import default_device, usable_device
from .image_probabilities import NonFiniteOutputError
from .normalization import require_normalization
from .torch_segmenter import PRECISIONS, load_network, model_fingerprint

__all__ = ["TorchDetector", "choose_task", "load_detector"]


class TorchDetector:
    """An oriented detector for one task; see `SceneDetector`.

    Args:
        model: a mixture of experts is merged into the dense model of its task. The model is put into eval mode and
            moved to the device.
        task: of a model with several.
        image_mean, image_std: of the image processor, on the scale 0..1.
        device: where it runs.
        precision: `"fp32"`, or `"bf16"` for autocast.

    Raises:
        ValueError: for an unknown precision, a device that is not there, a normalisation that divides by 0, or a
            task that is missing or not the model's to have.
    """

    def __init__(
        self,
        model: S5ForOrientedObjectDetection,
        task: str | None = None,
        image_mean: Sequence[float] = IMAGENET_MEAN,
        image_std: Sequence[float] = IMAGENET_STD,
        device: torch.device | str = "cpu",
        precision: str = "fp32",
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        self.task = choose_task(model.config.tasks, task)
        self.name = model.config.name_or_path or type(model).__name__
        require_normalization(image_mean, image_std, self.name)
        self.device = usable_device(device)
        if len(model.config.tasks) > 1:
            model = model.merge_experts(self.task)
        self.labels = tuple(model.config.tasks[self.task])
        self.model = model.eval().to(self.device)
        self.image_mean, self.image_std = tuple(image_mean), tuple(image_std)
        self.precision = precision

    @cached_property
    def fingerprint(self) -> str:
        """Of weights, task, normalisation and precision."""
        return f"{model_fingerprint(self.model, self.task, self.image_mean, self.image_std)} {self.precision}"

    @torch.inference_mode()
    def detect(
        self, pixel_values: Tensor, threshold: float, iou_threshold: float, max_detections: int
    ) -> list[Detections]:
        """The objects in normalised images; see `SceneDetector`.

        Raises:
            NonFiniteOutputError: the network gives NaN or infinity; has the index of the image in the batch.
        """
        autocast = torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()
        with autocast:
            outputs = self.model(pixel_values=pixel_values)
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
        model: a folder, a Hub repository or a known name; a model, which is taken to want ImageNet's normalisation;
            or a detector of scenes, which is taken as it is.
        task: of a model with several.
        device: the default is the first GPU, or else the processor.
        precision: `"fp32"` or `"bf16"`.

    Raises:
        OSError: there is no such model, or it has no image processor.
        ValueError: the model is no oriented detector, or as `load_network` and `TorchDetector`.
    """
    if isinstance(model, (str, Path)):
        if str(model).endswith(".onnx"):
            raise ValueError(f"{model}: exported files hold segmentation models; give the folder of the detector")
        require_model_folder(model)
        require_detector(AutoConfig.from_pretrained(model), str(model))
    elif isinstance(model, PreTrainedModel):
        require_detector(model.config, type(model).__name__)
    elif task is not None or device is not None or precision != "fp32":
        raise ValueError(f"task, device and precision are options of networks; {type(model).__name__} is none")
    else:
        return model
    device = usable_device(device or default_device())
    network, mean, std = load_network(model, S5ForOrientedObjectDetection)
    return TorchDetector(network, task, mean, std, device, precision)


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


def choose_task(tasks: Mapping[str, Sequence[str]], task: str | None) -> str:
    """The task asked for, or the only one.

    Raises:
        ValueError: the task is missing or unknown; the message lists the tasks.
    """
    if task is None and len(tasks) > 1:
        raise ValueError(f"the model has several tasks, choose one with task=... or --task: {', '.join(tasks)}")
    if task is not None and task not in tasks:
        raise ValueError(f"the model has no task {task!r}; its tasks: {', '.join(tasks)}")
    return next(iter(tasks)) if task is None else task
