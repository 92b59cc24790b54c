"""What the models of several tasks have in common, whatever they do."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from ...hub.model_folder import require_model_folder


def known_tasks(
    name: str | None, start: str, config_type: type[PretrainedConfig], advice: str
) -> dict[str, list[str]] | None:
    """The tasks of a given model, `None` where there is none.

    Args:
        name: of the model.
        start: what the recipe calls such a model.
        config_type: that the model must have.
        advice: what others are given as, in words.

    Raises:
        ValueError: if it is another kind of model.
    """
    if name is None:
        return None
    require_model_folder(name)
    config = AutoConfig.from_pretrained(name)
    if config.model_type != config_type.model_type:
        raise ValueError(f"{start} {name} is a {config.model_type!r}; {advice}")
    return config.tasks


def refuse_other_labels(name: str, known: Mapping[str, Sequence[str]], wanted: Mapping[str, Sequence[str]]) -> None:
    """Raise a ValueError if a model has a task of the same name with other classes."""
    for task, labels in wanted.items():
        if task in known and list(known[task]) != list(labels):
            raise ValueError(
                f"the task {task!r} has {len(known[task])} classes in {name} ({', '.join(known[task])}), "
                f"but {len(labels)} in the data ({', '.join(labels)}); class_map or another name for the task helps"
            )


def require_mode(model: PreTrainedModel, mode: str, name: str) -> None:
    """Raise a ValueError unless a model that has these tasks already has experts exactly where the mode has them."""
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
