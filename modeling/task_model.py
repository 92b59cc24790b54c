"""What models with tasks share: names of tasks to numbers, experts in and out."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from .configuration_s5 import S5ViTConfig
from .modeling_s5_vit import S5ViTBackbone
from .task_experts import merged_state_dict
from .task_groups import TaskGroups


def attention_of(model: PreTrainedModel) -> dict[str, str]:
    """The attention implementations of a model, or a backbone, as `set_attn_implementation` takes them."""
    backbone = getattr(model, "backbone", model)
    return {"": model.config._attn_implementation, "backbone_config": backbone.config._attn_implementation}


def set_attention(model: PreTrainedModel, implementations: dict[str, str]) -> None:
    """Give a model that was made from another that one's attention implementations (see `attention_of`)."""
    if attention_of(model) != implementations:
        model.set_attn_implementation(implementations)


class TaskModelMixin:
    """For a model with `config.tasks`, a `backbone`, and one head of every kind per task."""

    def merge_experts(self, task: str | None = None) -> "TaskModelMixin":
        """An ordinary dense model for one task: its expert joined with the shared part, and its heads.

        The result has one task, needs no `task` in its calls and gives the outputs of this model to float precision.

        Raises:
            ValueError: if the model has several tasks and `task` is not one of them.
        """
        index = self._single_index(task)
        config = copy.deepcopy(self.config)
        config.tasks = [self.config.task_settings(list(self.config.tasks)[index])]
        if config.backbone_config.model_type == S5ViTConfig.model_type:
            config.backbone_config.num_experts = 0
        dense = type(self)(type(config).from_dict(config.to_dict()))
        dense.load_state_dict(merged_state_dict(self.state_dict(), index))
        set_attention(dense, attention_of(self))
        return dense.to(device=self.device, dtype=self.dtype).train(self.training)

    def _append_task(self, settings: Mapping[str, Any], source: int) -> None:
        """Enter one more task into the configuration; its expert starts as a copy of that of task `source`."""
        if settings["name"] in self.config.tasks:
            raise ValueError(
                f"the model already has a task {settings['name']!r}; its tasks: {', '.join(self.config.tasks)}"
            )
        known = [self.config.task_settings(name) for name in self.config.tasks]
        self.config.tasks = [*known, settings]
        if isinstance(self.backbone, S5ViTBackbone) and self.backbone.config.num_experts:
            for layer in self.backbone.encoder.layers:
                layer.feed_forward.experts.append(copy.deepcopy(layer.feed_forward.experts[source]))
            self.backbone.config.num_experts = len(self.config.tasks)
            self.config.backbone_config.num_experts = len(self.config.tasks)

    def _weighted_sum(
        self, losses: Mapping[str, torch.Tensor], task_weights: Mapping[str, float] | None
    ) -> torch.Tensor:
        """The sum of the tasks' losses, each times its weight (1 where none is given)."""
        unknown = set(task_weights or ()) - set(self.config.tasks)
        if unknown:
            raise ValueError(
                f"task_weights names {sorted(unknown)}; the model's tasks: {', '.join(self.config.tasks)}"
            )
        return sum((task_weights or {}).get(name, 1.0) * loss for name, loss in losses.items())

    def _wanted_outputs(
        self, output_hidden_states: bool | None, output_attentions: bool | None
    ) -> dict[str, bool | None]:
        """What the backbone is to return: what the call asks for, else what this configuration or its own asks for."""
        wanted = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}
        silent = {name: (getattr(self.config, name) or None) for name, value in wanted.items() if value is None}
        return {**wanted, **silent, "return_dict": True}

    def _expert_arguments(self, groups: TaskGroups) -> dict[str, list[int]]:
        """Which expert serves which row, for a backbone that has experts."""
        if not getattr(self.backbone.config, "num_experts", 0) or not isinstance(self.backbone, S5ViTBackbone):
            return {}
        return {"expert_index": [group.index for group in groups for _ in range(group.start, group.stop)]}

    def _task_index(self, task: str | Sequence[str] | None) -> int | list[int]:
        if task is None or isinstance(task, str):
            return self._single_index(task)
        return [self._single_index(name) for name in task]

    def _single_index(self, task: str | None) -> int:
        names = list(self.config.tasks)
        if task is None and len(names) == 1:
            return 0
        if task is None:
            raise ValueError(
                f"the model has several tasks ({', '.join(names)}): give task=..., one name or one per image, "
                "or make a model of one task with merge_experts(task)"
            )
        if task not in names:
            raise ValueError(f"unknown task {task!r}; the model's tasks: {', '.join(names)}")
        return names.index(task)
