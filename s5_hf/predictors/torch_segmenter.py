"""Segmentation models of transformers as segmenters of scenes, of images in an evaluation and of patches."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch.nn import functional
from transformers import AutoModelForSemanticSegmentation, PreTrainedModel

from .devices import default_device, usable_device
from .interfaces import SceneSegmenter
from .named_classes import name_classes
from .torch_network import TorchNetwork, load_network, refuse_torch_options

__all__ = ["TorchSegmenter", "load_segmenters", "logits_at_size"]


class TorchSegmenter(TorchNetwork):
    """An S5 model or any `AutoModelForSemanticSegmentation` for one task; see `TorchNetwork` and `SceneSegmenter`."""

    @property
    def num_labels(self) -> int:
        """Number of classes."""
        return len(self.labels)

    @cached_property
    def id2label(self) -> dict[int, str]:
        """Class id to class name."""
        return dict(enumerate(self.labels))

    @torch.inference_mode()
    def predict(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Logits of normalised images; see `SceneSegmenter`."""
        with self.arithmetic():
            logits = self._forward(pixel_values=pixel_values).logits
        return logits_at_size(logits, pixel_values.shape[2:])


def load_segmenters(
    model: str | Path | PreTrainedModel | SceneSegmenter | Sequence[SceneSegmenter],
    task: str | None = None,
    devices: Sequence[str | torch.device] | None = None,
    precision: str = "fp32",
    compile_model: bool = False,
    classes: Sequence[str] | None = None,
) -> list[SceneSegmenter]:
    """One segmenter per device.

    Args:
        model: a folder, a Hub repository or a known name; an `.onnx` file; a model of transformers, which is assumed
            to expect ImageNet's normalisation; or segmenters, which are taken as they are.
        task: of a model with several.
        devices: such as `("cuda:0", "cuda:1")`; the default is the first GPU, or else the processor.
        precision, compile_model: as `TorchNetwork`.
        classes: what an open-vocabulary model is to look for, one string per class with its synonyms separated by
            commas; by default the classes that it was saved with.

    Raises:
        OSError: there is no such model, or it has no image processor.
        ValueError: as `load_network` and `TorchNetwork`, or an option does not go with the kind of model.
    """
    if isinstance(model, (list, tuple)):
        if classes:
            raise ValueError("classes are for a model; these segmenters have theirs already")
        return list(model)
    is_onnx = isinstance(model, (str, Path)) and str(model).endswith(".onnx")
    if is_onnx or not isinstance(model, (str, Path, PreTrainedModel)):
        refuse_torch_options(model, devices=devices, compile_model=compile_model, classes=classes, precision=precision)
        return [_load_onnx(model, task) if is_onnx else model]
    devices = [usable_device(device) for device in devices or (default_device(),)]
    network, settings = load_network(model, AutoModelForSemanticSegmentation)
    name_classes(network, classes)
    networks = [network, *(copy.deepcopy(network) for _ in devices[1:])]
    return [
        TorchSegmenter(
            replica, task, device=device, precision=precision, compile_model=compile_model, **vars(settings)
        )
        for replica, device in zip(networks, devices, strict=True)
    ]


def logits_at_size(logits: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Logits as float32 at the size of the images: SegFormer and others predict at a quarter of it."""
    logits, size = logits.float(), tuple(size)
    if tuple(logits.shape[2:]) == size:
        return logits
    return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def _load_onnx(path: str | Path, task: str | None) -> SceneSegmenter:
    from .onnx_segmenter import OnnxSegmenter

    return OnnxSegmenter(path, task=task)
