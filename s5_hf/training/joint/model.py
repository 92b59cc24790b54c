"""What the models of several tasks have in common, whatever they do."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from transformers import PreTrainedModel


def refuse_other_labels(name: str, known: Mapping[str, Sequence[str]], wanted: Mapping[str, Sequence[str]]) -> None:
    """Raise a ValueError if a model has a task of the same name with other classes."""
    for task, labels in wanted.items():
        if task in known and list(known[task]) != list(labels):
            raise ValueError(
                f"the task {task!r} has {len(known[task])} classes in {name} ({', '.join(known[task])}), "
                f"but {len(labels)} in the data ({', '.join(labels)}); class_map or another name for the task helps"
            )


def require_mode(model: PreTrainedModel, mode: str, name: str) -> None:
    """Raise a ValueError if a model that goes on has experts where the mode has none, or the other way round."""
    has_experts = bool(getattr(model.backbone.config, "num_experts", 0))
    if has_experts != (mode == "moe"):
        found = "experts" if has_experts else "no experts"
        raise ValueError(f"{name} has these tasks already and {found}; mode {mode} differs")


class TaskView(nn.Module):
    """A model of several tasks as a model of one.

    Args:
        model: takes `task`.
        task: that every call is for.
    """

    def __init__(self, model: nn.Module, task: str) -> None:
        super().__init__()
        self.model, self.task = model, task

    def forward(self, pixel_values: torch.Tensor) -> object:
        """The model's output for the task."""
        return self.model(pixel_values, task=self.task)
