"""SAM-Road++ as a network that traces the roads of scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from ..hub.model_folder import require_model_folder
from ..modeling import SamRoadConfig, SamRoadForRoadGraph
from .devices import default_device, usable_device
from .interfaces import SceneRoadNetwork
from .torch_network import TorchNetwork, load_network, refuse_torch_options

__all__ = ["TorchRoadNetwork", "load_road_network"]

_SETTINGS = (
    "keypoint_threshold",
    "road_threshold",
    "topology_threshold",
    "keypoint_spacing",
    "road_spacing",
    "neighbor_radius",
    "max_neighbors",
)


class TorchRoadNetwork(TorchNetwork):
    """A model of road graphs; see `TorchNetwork` and `SceneRoadNetwork`."""

    @property
    def fixed_size(self) -> int | None:
        """Side in pixels of the only windows that the network takes; None where it takes any."""
        return self.model.config.fixed_size

    @property
    def road_settings(self) -> dict[str, Any]:
        """Thresholds, distances and the size of windows that go with the model, by the names of `RoadSettings`."""
        settings = {name: getattr(self.model.config, name) for name in _SETTINGS}
        if self.fixed_size is not None:
            settings |= {"window": self.fixed_size, "extend_small_scenes": True}
        return settings

    @torch.inference_mode()
    def look(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and features of normalised images; see `SceneRoadNetwork`."""
        with self.arithmetic():
            outputs = self._forward(pixel_values=pixel_values)
        return outputs.probabilities.float(), outputs.features.float()

    @torch.inference_mode()
    def connect(self, scores: Tensor, features: Tensor, points: Tensor, neighbours: Tensor, valid: Tensor) -> Tensor:
        """How surely points are connected with their neighbours; see `SceneRoadNetwork`."""
        sources = torch.arange(len(points), device=points.device)[:, None].expand_as(neighbours)
        pairs = torch.stack([sources, neighbours], dim=-1)
        with self.arithmetic():
            return self.model.predict_connections(
                features[None], scores[None], points[None], pairs[None], valid[None]
            )[0]


def load_road_network(
    model: str | Path | PreTrainedModel | SceneRoadNetwork,
    device: str | torch.device | None = None,
    precision: str = "fp32",
) -> SceneRoadNetwork:
    """A network that traces the roads of scenes.

    Args:
        model: a folder, a Hub repository or a known name; a model, which is assumed to expect ImageNet's
            normalisation; or a network of roads, which is taken as it is.
        device: the default is the first GPU, or else the processor.
        precision: `"fp32"`, `"bf16"`, or `"auto"`: bf16 where the device has it natively.

    Raises:
        OSError: there is no such model, or it has no image processor.
        ValueError: the model is not one of road graphs, or as `load_network` and `TorchNetwork`.
    """
    if isinstance(model, (str, Path)):
        require_model_folder(model)
        _require_roads(AutoConfig.from_pretrained(model), str(model))
    elif isinstance(model, PreTrainedModel):
        _require_roads(model.config, type(model).__name__)
    else:
        refuse_torch_options(model, device=device, precision=precision)
        return model
    device = usable_device(device or default_device())
    network, settings = load_network(model, SamRoadForRoadGraph)
    return TorchRoadNetwork(network, device=device, precision=precision, **vars(settings))


def _require_roads(config: PretrainedConfig, name: str) -> None:
    if not isinstance(config, SamRoadConfig):
        raise ValueError(
            f"{name} is a model of the type {config.model_type!r}; roads need a model of road graphs, "
            f"{SamRoadConfig.model_type!r}"
        )
