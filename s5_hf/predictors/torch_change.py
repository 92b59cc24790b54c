"""Trained change detectors as segmenters of images that hold both dates."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel

from ..hub.model_folder import require_model_folder
from ..modeling import S5ChangeDetectionConfig, S5ForChangeDetection
from .devices import default_device, usable_device
from .torch_network import load_network
from .torch_segmenter import TorchSegmenter

__all__ = ["TorchChangeDetector", "load_change_detectors"]

_DATES = 2


class TorchChangeDetector(TorchSegmenter):
    """A change detector for one task; see `TorchNetwork`.

    It is a segmenter of images with the channels of the first date and then those of the second: `image_mean` and
    `image_std` have both.
    """

    def __init__(self, model: S5ForChangeDetection, *arguments: Any, **settings: Any) -> None:
        super().__init__(model, *arguments, **settings)
        self.channels = len(self.image_mean)
        self.image_mean, self.image_std = self.image_mean * _DATES, self.image_std * _DATES

    @torch.inference_mode()
    def predict(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Logits `(batch, num_labels, height, width)` of normalised images `(batch, 2 * channels, height, width)`."""
        with self.arithmetic():
            logits = self._forward(pixel_values=pixel_values.unflatten(1, (_DATES, -1))).logits
        return logits.float()


def load_change_detectors(
    model: str | Path | PreTrainedModel,
    task: str | None = None,
    devices: Sequence[str | torch.device] | None = None,
    precision: str = "fp32",
    compile_model: bool = False,
) -> list[TorchChangeDetector]:
    """One change detector per device; arguments as for `load_segmenters`.

    Raises:
        OSError: there is no such model, or it has no image processor.
        ValueError: it is another kind of model, or as `load_network` and `TorchNetwork`.
    """
    if not isinstance(model, PreTrainedModel):
        require_model_folder(model)
    config = model.config if isinstance(model, PreTrainedModel) else AutoConfig.from_pretrained(model)
    if config.model_type != S5ChangeDetectionConfig.model_type:
        raise ValueError(
            f"{config.name_or_path or model} is a model of the type {config.model_type!r}; expected a change "
            "detector, as s5-hf train change makes it"
        )
    devices = [usable_device(device) for device in devices or (default_device(),)]
    network, settings = load_network(model, AutoModel)
    networks = [network, *(copy.deepcopy(network) for _ in devices[1:])]
    return [
        TorchChangeDetector(
            replica, task, device=device, precision=precision, compile_model=compile_model, **vars(settings)
        )
        for replica, device in zip(networks, devices, strict=True)
    ]
