"""Segmentation models of transformers as segmenters of scenes, of images in an evaluation and of patches."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation, PreTrainedModel

from ..conversion.model_check import load_checked, require_finite_weights
from ..hub.model_folder import require_model_folder
from ..modeling import S5ForSemanticSegmentation
from ..modeling.aligned_weights import align_weights
from ..modeling.image_processing_s5 import IMAGENET_MEAN, IMAGENET_STD
from .devices import default_device, usable_device
from .normalization import processor_normalization, require_normalization
from .segmenter import SceneSegmenter

__all__ = ["PRECISIONS", "TorchSegmenter", "load_network", "load_segmenters", "logits_at_size", "model_fingerprint"]

PRECISIONS = ("fp32", "bf16")


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
        ValueError: for an unknown precision, a device that is not there, a normalisation that divides by 0, or a
            task that is missing, unknown, or not the model's to have.
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
        self.name = model.config.name_or_path or type(model).__name__
        require_normalization(image_mean, image_std, self.name)
        self.device = usable_device(device)
        if isinstance(model, S5ForSemanticSegmentation) and len(model.config.tasks) > 1:
            model = model.merge_experts(task)
        self.model = model.eval().to(self.device)
        align_weights(self.model)  # models of transformers lie in memory as in their file
        self.task = task
        self.num_labels = len(labels)
        self.id2label = dict(enumerate(labels))
        self.image_mean, self.image_std = tuple(image_mean), tuple(image_std)
        self.precision = precision
        self._forward: nn.Module = torch.compile(self.model) if compile_model else self.model

    @cached_property
    def fingerprint(self) -> str:
        """Of weights, task, normalisation and precision."""
        return f"{model_fingerprint(self.model, self.task, self.image_mean, self.image_std)} {self.precision}"

    @torch.inference_mode()
    def predict(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Logits of normalised images; see `SceneSegmenter`."""
        with self.autocast():
            logits = self._forward(pixel_values=pixel_values).logits
        return logits_at_size(logits, pixel_values.shape[2:])

    def autocast(self) -> AbstractContextManager:
        """The context of a forward pass in the precision."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()


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
        ValueError: as `load_network` and `TorchSegmenter`, or an option does not go with the kind of model.
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
    devices = [usable_device(device) for device in devices or (default_device(),)]
    network, mean, std = load_network(model, AutoModelForSemanticSegmentation)
    networks = [network, *(copy.deepcopy(network) for _ in devices[1:])]
    return [
        TorchSegmenter(replica, task, mean, std, device, precision, compile_model)
        for replica, device in zip(networks, devices, strict=True)
    ]


def load_network(
    model: str | Path | PreTrainedModel, model_class: type
) -> tuple[PreTrainedModel, tuple[float, ...], tuple[float, ...]]:
    """A network that is fit to be used, and its normalisation.

    Args:
        model: a folder, a Hub repository or a known name; or a model, which is taken to want ImageNet's normalisation.
        model_class: what loads it.

    Returns:
        The network, and mean and standard deviation of its images on the scale 0..1.

    Raises:
        OSError: there is no such model, or it has no image processor.
        ValueError: weights are missing, superfluous or not finite, or the normalisation divides by 0.
    """
    if isinstance(model, PreTrainedModel):
        require_finite_weights(model, model.config.name_or_path or type(model).__name__)
        return model, IMAGENET_MEAN, IMAGENET_STD
    require_model_folder(model)
    mean, std = processor_normalization(AutoImageProcessor.from_pretrained(model), model)
    return load_checked(model_class, model), mean, std


def logits_at_size(logits: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Logits as float32 at the size of the images: SegFormer and others predict at a quarter of it."""
    logits, size = logits.float(), tuple(size)
    if tuple(logits.shape[2:]) == size:
        return logits
    return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def model_fingerprint(model: nn.Module, task: str | None, mean: Sequence[float], std: Sequence[float]) -> str:
    """32 hexadecimal digits that change with the weights, the task or the normalisation."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([type(model).__name__, task, list(mean), list(std)]).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


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


def _refuse_torch_options(model: object, devices: object, precision: str, compile_model: bool) -> None:
    if devices or precision != "fp32" or compile_model:
        raise ValueError(f"devices, precision and compile are options of torch models; {model} is none")
