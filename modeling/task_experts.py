"""Between dense weights and task experts: starting experts from a dense model, and joining them again."""

import re

import torch
from torch import nn

EXPERT_KEY = re.compile(r"^(backbone\.encoder\.layers\.\d+\.feed_forward)\.experts\.(\d+)\.(weight|bias)$")
TASK_KEY = re.compile(r"^(decoders|classifiers)\.(\d+)\.(.+)$")


@torch.no_grad()
def copy_dense_weights(dense: nn.Module, model: nn.Module) -> None:
    """Copy a dense single-task segmenter into one with several tasks, experts included (classifiers excepted).

    The rows of a dense fc2 are divided: the first stay shared, the last go to every expert.

    Raises:
        ValueError: if `dense` is not dense or not of one task, or its shapes do not fit.
    """
    state = dense.state_dict()
    if any(EXPERT_KEY.match(key) for key in state) or any(key.startswith("decoders.1.") for key in state):
        raise ValueError("the starting model must be dense and of one task; merge_experts(task) makes one")
    for key, target in model.state_dict().items():
        expert, task = EXPERT_KEY.match(key), TASK_KEY.match(key)
        if expert:
            source = state[f"{expert[1]}.fc2.{expert[3]}"][-target.shape[0] :]
        elif task and task[1] == "classifiers":
            continue
        elif task:
            source = state[f"decoders.0.{task[3]}"]
        else:
            source = state[key][: target.shape[0]] if ".fc2." in key else state[key]
        if source.shape != target.shape:
            raise ValueError(f"{key}: the dense model gives {tuple(source.shape)}, not {tuple(target.shape)}")
        target.copy_(source)


def merged_state_dict(state: dict[str, torch.Tensor], index: int) -> dict[str, torch.Tensor]:
    """The state of the dense model of task number `index`: expert rows behind shared rows, one decoder."""
    merged = {}
    for key, tensor in state.items():
        expert, task = EXPERT_KEY.match(key), TASK_KEY.match(key)
        if expert:
            continue
        if task:
            if int(task[2]) == index:
                merged[f"{task[1]}.0.{task[3]}"] = tensor
            continue
        prefix, _, kind = key.rpartition(".")
        expert_key = f"{prefix.removesuffix('.fc2')}.experts.{index}.{kind}"
        merged[key] = torch.cat([tensor, state[expert_key]]) if expert_key in state else tensor
    return merged
