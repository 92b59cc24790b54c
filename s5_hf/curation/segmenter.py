"""Any `AutoModelForSemanticSegmentation` as a function from uint8 patches to logits and image features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation, PreTrainedModel

from ..hub.model_folder import require_model_folder
from ..modeling import S5ForSemanticSegmentation
from ..modeling.aligned_weights import align_weights

__all__ = ["PRECISIONS", "Prediction", "Segmenter", "background_index", "model_fingerprint"]

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Prediction:
    """What a segmenter says of a batch.

    Attributes:
        logits: float32 `(batch, classes, height, width)` at the size of the patches.
        features: float32 `(batch, channels)`, the mean-pooled last feature map of the backbone, of length 1.
    """

    logits: torch.Tensor
    features: torch.Tensor


class Segmenter:
    """A segmentation model in eval mode with its normalisation.

    Features come from the last feature map of an S5 model's backbone, from `hidden_states[-1]` of other models.

    Args:
        model: the network.
        mean, std: of the image processor, one number per channel, on the scale of `rescale_factor`.
        task: which task of an S5 model with several; `None` for other models.
        precision: `"fp32"`, or `"bf16"` for autocast. Logits and features are float32 after it.
        device: where to run.
        rescale_factor: multiplies 0..255 before normalisation.

    Raises:
        ValueError: for an unknown precision, or a task that is missing, unknown, or not the model's to have.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        mean: Sequence[float],
        std: Sequence[float],
        task: str | None = None,
        precision: str = "fp32",
        device: torch.device | str = "cpu",
        rescale_factor: float = 1 / 255,
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        self.is_s5 = isinstance(model, S5ForSemanticSegmentation)
        self.labels = _labels_of(model, task)
        self.model = model.eval().to(device)
        align_weights(self.model)  # models of transformers lie in memory as in their file
        self.task, self.precision, self.device = task, precision, torch.device(device)
        self.image_mean, self.image_std = tuple(mean), tuple(std)
        self._mean = torch.tensor(mean, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(std, device=device).view(1, -1, 1, 1)
        self._rescale_factor = rescale_factor

    @classmethod
    def from_pretrained(
        cls, name: str | Path, task: str | None = None, precision: str = "fp32", device: torch.device | str = "cpu"
    ) -> Segmenter:
        """Load a model and its image processor from a folder, the Hub or a known name.

        Raises:
            OSError: if there is no such model or it has no image processor.
            ValueError: as the class.
        """
        require_model_folder(name)
        processor = AutoImageProcessor.from_pretrained(name)
        model = AutoModelForSemanticSegmentation.from_pretrained(name)
        mean, std = processor.image_mean, processor.image_std
        return cls(model, mean, std, task, precision, device, processor.rescale_factor)

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with the weights, the task or the normalisation."""
        return model_fingerprint(self.model, self.task, self.image_mean, self.image_std)

    @torch.inference_mode()
    def __call__(self, patches: np.ndarray) -> Prediction:
        """Segment patches, uint8 `(batch, height, width, 3)`."""
        with self._autocast():
            logits, feature_map = self._forward(self.pixel_values(patches))
        return Prediction(
            _at_size(logits, patches.shape[1:3]), functional.normalize(_pool(feature_map.float()), dim=1)
        )

    def pixel_values(self, patches: np.ndarray) -> torch.Tensor:
        """Patches, uint8 `(batch, height, width, channels)`, normalised: `(batch, channels, height, width)`."""
        writable = np.require(patches, np.uint8, ["C", "W"])  # torch warns of arrays that it may not write to
        pixels = torch.from_numpy(writable).to(self.device, non_blocking=True).permute(0, 3, 1, 2).float()
        return (pixels * self._rescale_factor - self._mean) / self._std

    @torch.inference_mode()
    def probabilities(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Class probabilities, float32 `(batch, classes, height, width)`, at the size of the normalised images."""
        task = {"task": self.task} if self.is_s5 else {}
        with self._autocast():
            logits = self.model(pixel_values, **task).logits
        return _at_size(logits, pixel_values.shape[2:]).softmax(dim=1)

    def feature_size(self, side: int) -> int:
        """Length of a feature; for models of other packages found out on a blank patch of that side."""
        if self.is_s5:
            return self.model.backbone.channels[-1]
        return self(np.zeros((1, side, side, 3), dtype=np.uint8)).features.shape[1]

    def _autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def _forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_s5:
            outputs = self.model(pixels, output_hidden_states=True)
            return outputs.logits, outputs.hidden_states[-1]
        maps: list[torch.Tensor] = []
        hook = self.model.backbone.register_forward_hook(
            lambda module, inputs, outputs: maps.append(outputs.feature_maps[-1])
        )
        with hook:
            outputs = self.model(pixels, task=self.task)
        return outputs.logits, maps[0]


def background_index(labels: Sequence[str], background: str | int | None) -> int | None:
    """The class that entropy leaves out.

    Args:
        labels: class names of the model.
        background: a class name or id, `None` for no background, or `"auto"` for the class called "background" if
            there is one.

    Raises:
        ValueError: if there is no such class.
    """
    names = [label.lower() for label in labels]
    if background is None:
        return None
    if background == "auto":
        return names.index("background") if "background" in names else None
    if isinstance(background, str) and background.lower() in names:
        return names.index(background.lower())
    if isinstance(background, int) and 0 <= background < len(labels):
        return background
    raise ValueError(f"background {background!r} is none of the model's classes: {', '.join(labels)}")


def model_fingerprint(model: nn.Module, task: str | None, mean: Sequence[float], std: Sequence[float]) -> str:
    """32 hexadecimal digits that change with the weights, the task or the normalisation."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([type(model).__name__, task, list(mean), list(std)]).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _at_size(logits: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Logits as float32 at the size of the images: SegFormer and others predict at a quarter of it."""
    logits, size = logits.float(), tuple(size)
    if tuple(logits.shape[2:]) == size:
        return logits
    return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def _pool(feature_map: torch.Tensor) -> torch.Tensor:
    """Mean of a map `(batch, channels, height, width)` or of tokens `(batch, tokens, channels)`."""
    return feature_map.mean(dim=(2, 3)) if feature_map.ndim == 4 else feature_map.mean(dim=1)


def _labels_of(model: PreTrainedModel, task: str | None) -> list[str]:
    if isinstance(model, S5ForSemanticSegmentation):
        tasks = model.config.tasks
        if task is None and len(tasks) > 1:
            raise ValueError(f"the model has several tasks, choose one with task=...: {', '.join(tasks)}")
        if task is not None and task not in tasks:
            raise ValueError(f"unknown task {task!r}; the model's tasks: {', '.join(tasks)}")
        return list(tasks[task or next(iter(tasks))])
    if task is not None:
        raise ValueError(f"task {task!r} was given, but {type(model).__name__} has no tasks")
    return [model.config.id2label[index] for index in range(model.config.num_labels)]
