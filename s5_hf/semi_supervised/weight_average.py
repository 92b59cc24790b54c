"""Exponential moving average of a model's weights."""

import copy
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor


class WeightAverage:
    """A copy of a model that follows it slowly. Parameters and buffers are averaged; integers are copied.

    Args:
        model: the bare model, with whole weights; the copy takes them and never needs gradients. Every process has
            the whole copy, also where it trains a part of the model only (FSDP).
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, decay: float) -> None:
        """`average = decay * average + (1 - decay) * model`, tensor by tensor.

        Raises:
            ValueError: if the decay is not within 0..1.
        """
        if not 0 <= decay <= 1:
            raise ValueError(f"the decay of a weight average must lie between 0 and 1, got {decay}")
        current = model.state_dict()
        averages, values = [], []
        for name, average in self.model.state_dict().items():
            if average.is_floating_point():
                averages.append(average)
                values.append(whole(current[name]).to(average))
            else:
                average.copy_(whole(current[name]))
        torch._foreach_lerp_(averages, values, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """The averaged tensors, for a checkpoint."""
        return self.model.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        self.model.load_state_dict(state)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that may lie in parts on several processes, whole; all of them call this together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
