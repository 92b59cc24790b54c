"""Networks that give images of one date the look of the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from ..hub.model_folder import require_model_folder
from ..modeling import SRUITConfig, SRUITModel
from ..modeling.modeling_sruit import DATES
from .devices import default_device
from .torch_network import TorchNetwork, load_network

__all__ = ["TorchTranslator", "load_translator"]


class TorchTranslator(TorchNetwork):
    """A translator in one direction; see `TorchNetwork`.

    Args:
        model: with both directions.
        to: date whose look images get, `before` or `after`.
        **settings: of `TorchNetwork`.

    Raises:
        ValueError: for an unknown date, or as `TorchNetwork`.
    """

    def __init__(self, model: SRUITModel, to: str, **settings: Any) -> None:
        if to not in DATES:
            raise ValueError(f"to is {to!r}, expected before or after")
        super().__init__(model, **settings)
        self.to = to

    @torch.inference_mode()
    def predict(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Translated images, float32 of the same shape `(batch, channels, height, width)`, 0 to 255."""
        with self.arithmetic():
            values = self._forward(pixel_values=pixel_values, to=self.to).pixel_values
        return (values.float() + 1) * 127.5


def load_translator(model: str | Path, to: str = "after", device: str | torch.device | None = None) -> TorchTranslator:
    """A translator of a folder or a repository of the Hub.

    Raises:
        OSError: there is no such model, or it has no image processor.
        ValueError: it is another kind of model, or as `load_network` and `TorchTranslator`.
    """
    require_model_folder(model)
    config = AutoConfig.from_pretrained(model)
    if config.model_type != SRUITConfig.model_type:
        raise ValueError(
            f"{model} is a model of the type {config.model_type!r}; expected a translator, as s5-hf train translation "
            "makes it"
        )
    network, settings = load_network(model, SRUITModel)
    return TorchTranslator(network, to, device=device or default_device(), **vars(settings))
