"""Segmentation models of transformers as segmenters of scenes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation, PreTrainedModel

from ..curation.segmenter import PRECISIONS, model_fingerprint
from ..hub.model_folder import require_model_folder
from ..modeling import S5ForSemanticSegmentation
from ..modeling.aligned_weights import align_weights
from ..modeling.image_processing_s5 import IMAGENET_MEAN, IMAGENET_STD
from .scene_segmenter import SceneSegmenter

__all__ = ["TorchSegmenter", "default_device", "load_segmenters", "processor_normalization"]


class TorchSegmenter:
    """A segmentation model of transformers for one task; see `SceneSegmenter`.

    Args:
        model: an S5 model, or any `AutoModelForSemanticSegmentation`. A mixture of experts is merged into the dense
            model of its task. The model is put into eval mode and moved to the device.
        task: of an S5 model with several.
        image_mean, image_std: of the image processor, on the scale 0..1.
        device: where it runs.
        precision: `"fp32"`, or `"bf16"` for autocast.
        compile_model: whether to run it through `torch.compile`.

    Raises:
        ValueError: for an unknown precision, or a task that is missing, unknown, or not the model's to have.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        task: str | None = None,
        image_mean: Sequence[float] = IMAGENET_MEAN,
        image_std: Sequence[float] = IMAGENET_STD,
        device: torch.device | str = "cpu",
        precision: str = "fp32",
        compile_model: bool = False,
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        labels = task_labels(model, task)
        if isinstance(model, S5ForSemanticSegmentation) and len(model.config.tasks) > 1:
            model = model.merge_experts(task)
        self.model = model.eval().to(device)
        align_weights(self.model)  # models of transformers lie in memory as in their file
        self.device = torch.device(device)
        self.name = model.config.name_or_path or type(model).__name__
        self.num_labels = len(labels)
        self.id2label = dict(enumerate(labels))
        self.image_mean, self.image_std = tuple(image_mean), tuple(image_std)
        self.precision = precision
        self.fingerprint = f"{model_fingerprint(model, task, image_mean, image_std)} {precision}"
        self._forward: nn.Module = torch.compile(self.model) if compile_model else self.model

    @torch.inference_mode()
    def predict(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Logits of normalised images; see `SceneSegmenter`."""
        autocast = torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()
        with autocast:
            logits = self._forward(pixel_values=pixel_values).logits
        logits = logits.float()
        if logits.shape[2:] != pixel_values.shape[2:]:  # SegFormer and others predict at a quarter of the size
            logits = functional.interpolate(logits, size=pixel_values.shape[2:], mode="bilinear", align_corners=False)
        return logits


def load_segmenters(
    model: str | Path | PreTrainedModel | SceneSegmenter | Sequence[SceneSegmenter],
    task: str | None = None,
    devices: Sequence[str | torch.device] | None = None,
    precision: str = "fp32",
    compile_model: bool = False,
) -> list[SceneSegmenter]:
    """One segmenter per device.

    Args:
        model: a folder, a Hub repository or a known name; an `.onnx` file; a model of transformers, which is taken
            to want ImageNet's normalisation; or segmenters, which are taken as they are.
        task: of a model with several.
        devices: such as `("cuda:0", "cuda:1")`; the default is the first GPU, or else the processor.
        precision, compile_model: as `TorchSegmenter`.

    Raises:
        OSError: there is no such model, or it has no image processor.
        ValueError: as `TorchSegmenter`, or an option does not go with the kind of model.
    """
    if isinstance(model, (list, tuple)):
        return list(model)
    if isinstance(model, (str, Path)) and str(model).endswith(".onnx"):
        _refuse_torch_options(model, devices, precision, compile_model)
        from ..export import OnnxSegmenter

        segmenter = OnnxSegmenter(model)
        if task not in (None, segmenter.metadata.task):
            raise ValueError(f"{model} has no task {task!r}; it was exported for {segmenter.metadata.task}")
        return [segmenter]
    if not isinstance(model, (str, Path, PreTrainedModel)):
        _refuse_torch_options(model, devices, precision, compile_model)
        return [model]
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    if not isinstance(model, PreTrainedModel):
        require_model_folder(model)
        mean, std = processor_normalization(AutoImageProcessor.from_pretrained(model))
        model = AutoModelForSemanticSegmentation.from_pretrained(model)
    devices = devices or (default_device(),)
    models = [model, *(copy.deepcopy(model) for _ in devices[1:])]
    return [
        TorchSegmenter(replica, task, mean, std, device, precision, compile_model)
        for replica, device in zip(models, devices, strict=True)
    ]


def default_device() -> str:
    """The first GPU if there is one, else the processor."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def task_labels(model: PreTrainedModel, task: str | None) -> list[str]:
    """The class names of a model's task.

    Raises:
        ValueError: the task is missing, unknown, or not the model's to have; the message lists the tasks.
    """
    if not isinstance(model, S5ForSemanticSegmentation):
        if task is not None:
            raise ValueError(f"task {task!r} was given, but {type(model).__name__} has no tasks")
        return [model.config.id2label[index] for index in range(model.config.num_labels)]
    tasks = model.config.tasks
    if task is None and len(tasks) > 1:
        raise ValueError(f"the model has several tasks, choose one with task=... or --task: {', '.join(tasks)}")
    if task is not None and task not in tasks:
        raise ValueError(f"the model has no task {task!r}; its tasks: {', '.join(tasks)}")
    return list(tasks[next(iter(tasks)) if task is None else task])


def processor_normalization(processor: object) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation on the scale 0..1, whatever the processor's own scale is."""
    unit = 255 * (processor.rescale_factor if getattr(processor, "do_rescale", True) else 1.0)
    if not getattr(processor, "do_normalize", True):
        return (0.0,) * len(processor.image_mean), (1 / unit,) * len(processor.image_mean)
    return tuple(mean / unit for mean in processor.image_mean), tuple(std / unit for std in processor.image_std)


def _refuse_torch_options(model: object, devices: object, precision: str, compile_model: bool) -> None:
    if devices or precision != "fp32" or compile_model:
        raise ValueError(f"devices, precision and compile are options of torch models; {model} is none")
