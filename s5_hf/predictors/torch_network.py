"""What every network of transformers needs before it predicts: task, normalisation, device and precision."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path

import torch
from torch import nn
from transformers import AutoImageProcessor, PreTrainedModel

from ..conversion.model_check import load_checked, require_finite_weights
from ..hub.model_folder import require_model_folder
from ..hub.normalization import InputSettings, processor_input, require_normalization
from ..modeling.aligned_weights import align_weights
from ..modeling.image_processing_s5 import IMAGENET_MEAN, IMAGENET_STD
from ..modeling.value_scaling import ValueScaling
from .devices import usable_device
from .precision import AUTO, AUTO_GPU, resolve_precision
from .processor_kernels import processor_kernels
from .tasks import has_tasks, task_labels

__all__ = [
    "TorchNetwork",
    "load_network",
    "model_fingerprint",
    "read_input_settings",
    "refuse_torch_options",
]


class TorchNetwork:
    """A model of transformers, ready to predict one task.

    Args:
        model: a mixture of experts is merged into the dense model of its task. The model is put into eval mode and
            moved to the device.
        task: of a model with several.
        image_mean, image_std: of the image processor, on the scale 0..1.
        device: where it runs.
        precision: `"fp32"`, `"bf16"` for autocast, `"auto"`: bf16 where the device has it natively, or `"auto-gpu"`:
            where that is a GPU.
        compile_model: whether to run it through `torch.compile`.
        value_scaling, bands: of the image processor, where it says how files of any depth are read.

    Attributes:
        labels: class names of the task, in the order of their ids.
        name: of the model, for descriptions.
        precision: `"fp32"` or `"bf16"`, never one that depends on the device.

    Raises:
        ValueError: the precision is unknown, the device is not there, the normalisation divides by 0, or the task is
            missing or unknown.
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
        value_scaling: ValueScaling | None = None,
        bands: Sequence[int | str] | None = None,
    ) -> None:
        self.device = usable_device(device)
        self.precision = resolve_precision(precision, self.device)
        self.labels = task_labels(model, task)
        self.name = model.config.name_or_path or type(model).__name__
        require_normalization(image_mean, image_std, self.name)
        if has_tasks(model) and len(model.config.tasks) > 1:
            model = model.merge_experts(task)
        self.model = model.eval().to(self.device)
        align_weights(self.model)  # models of transformers lie in memory as in their file
        self.task = task
        self.image_mean, self.image_std = tuple(image_mean), tuple(image_std)
        require_channels(model, len(self.image_mean), self.name)
        self.value_scaling, self.bands = value_scaling, None if bands is None else tuple(bands)
        self._forward: nn.Module = torch.compile(self.model) if compile_model else self.model
        self._compiled = compile_model

    @cached_property
    def fingerprint(self) -> str:
        """Of weights, task, normalisation and precision."""
        return f"{self.weights_fingerprint} {self.precision}"

    @cached_property
    def weights_fingerprint(self) -> str:
        """32 hexadecimal digits that change with the weights, the task, the normalisation and the scaling."""
        return model_fingerprint(self.model, self.task, self.image_mean, self.image_std, self.value_scaling)

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """The context of a forward pass: the precision, and the faster kernels of a processor."""
        precision = torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()
        kernels = nullcontext() if self._compiled else processor_kernels(self.device)
        with precision, kernels:
            yield


def require_channels(model: PreTrainedModel, num_channels: int, name: str) -> None:
    """Raise a ValueError unless a network takes as many channels as its image processor gives it; names both."""
    config = getattr(getattr(model, "backbone", model), "config", None)
    expected = getattr(config, "num_channels", num_channels)
    if expected != num_channels:
        raise ValueError(
            f"{name} takes {expected} channels, but its image processor (image_mean) gives it {num_channels}"
        )


def load_network(model: str | Path | PreTrainedModel, model_class: type) -> tuple[PreTrainedModel, InputSettings]:
    """A network that is fit to be used, and its normalisation.

    Args:
        model: a folder, a Hub repository or a known name; or a model, which is assumed to expect ImageNet's
            normalisation.
        model_class: what loads it.

    Returns:
        The network, and what it expects of its images.

    Raises:
        OSError: there is no such model, or it has no image processor.
        ValueError: weights are missing, superfluous or not finite, or the normalisation divides by 0.
    """
    if isinstance(model, PreTrainedModel):
        require_finite_weights(model, model.config.name_or_path or type(model).__name__)
        return model, InputSettings()
    settings = read_input_settings(model)
    return load_checked(model_class, model), settings


def read_input_settings(model: str | Path) -> InputSettings:
    """What the network of a folder or a name expects of its images; its weights are not read.

    Raises:
        OSError: there is no such model, or it has no image processor.
        ValueError: the normalisation divides by 0, or the scaling of values is damaged.
    """
    require_model_folder(model)
    return processor_input(AutoImageProcessor.from_pretrained(model), model)


def refuse_torch_options(model: object, **options: object) -> None:
    """Raise a ValueError if an option of torch models is given for something else, such as an ONNX file."""
    given = options.pop("precision", "fp32") not in ("fp32", AUTO, AUTO_GPU) or any(options.values())
    if given:
        name = model if isinstance(model, (str, Path)) else type(model).__name__
        raise ValueError(f"{', '.join(options)} and precision are options of torch models; {name} is not one")


def model_fingerprint(
    model: nn.Module,
    task: str | None,
    mean: Sequence[float],
    std: Sequence[float],
    value_scaling: ValueScaling | None = None,
) -> str:
    """32 hexadecimal digits that change with the weights, the task, the normalisation or the scaling.

    Those of an open-vocabulary model also change with its classes and its other `prediction_settings`.
    """
    digest = hashlib.blake2b(digest_size=16)
    scaled = [] if value_scaling is None else [value_scaling.to_dict()]
    settings = getattr(getattr(model, "config", None), "prediction_settings", None)
    chosen = [] if settings is None else [settings]
    digest.update(json.dumps([type(model).__name__, task, list(mean), list(std), *scaled, *chosen]).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
