"""Between dense weights and task experts: starting experts from a dense model, and joining them again."""

import math
import re

import torch
from torch import nn

from .modeling_s5_vit import resize_position_embeddings

EXPERT_KEY = re.compile(r"^(backbone\.encoder\.layers\.\d+\.feed_forward)\.experts\.(\d+)\.(weight|bias)$")
TASK_KEY = re.compile(r"^(decoders|classifiers|necks|rpn_heads|roi_heads)\.(\d+)\.(.+)$")
NEW_KEY = re.compile(r"^(classifiers|roi_heads\.\d+\.classifier)\.")


@torch.no_grad()
def copy_dense_weights(dense: nn.Module, model: nn.Module) -> None:
    """Copy a dense single-task model, or a backbone, into one with several tasks, experts included.

    The rows of a dense fc2 are divided: the first stay shared, the last go to every expert. Position embeddings of
    another grid are resized. The classifiers stay as they are, and so do heads of which the dense model has none.

    Raises:
        ValueError: if `dense` is not dense or not of one task, or its shapes do not fit.
    """
    state = dense.state_dict()
    if not any(key.startswith("backbone.") for key in state):
        state = {f"backbone.{key}": tensor for key, tensor in state.items()}
    tasks = {TASK_KEY.match(key)[2] for key in state if TASK_KEY.match(key)}
    if len(tasks) > 1 or any(EXPERT_KEY.match(key) for key in state):
        raise ValueError("the starting model must be dense and of one task; merge_experts(task) makes one")
    has_heads = {TASK_KEY.match(key)[1] for key in state if TASK_KEY.match(key)}
    for key, target in model.state_dict().items():
        expert, task = EXPERT_KEY.match(key), TASK_KEY.match(key)
        if NEW_KEY.match(key) or (task and task[1] not in has_heads):
            continue
        if expert:
            source = state[f"{expert[1]}.fc2.{expert[3]}"][-target.shape[0] :]
        elif task:
            source = state[f"{task[1]}.0.{task[3]}"]
        elif key.endswith(".position_embeddings"):
            source = resize_to_grid(state[key], target.shape[1])
        else:
            source = state[key][: target.shape[0]] if ".fc2." in key else state[key]
        if source.shape != target.shape:
            raise ValueError(f"{key}: the dense model gives {tuple(source.shape)}, not {tuple(target.shape)}")
        target.copy_(source)


def resize_to_grid(position_embeddings: torch.Tensor, positions: int) -> torch.Tensor:
    """Position embeddings `(1, n * n, hidden)` resized to `(1, positions, hidden)`, another square grid."""
    if position_embeddings.shape[1] == positions:
        return position_embeddings
    old, new = (math.isqrt(count) for count in (position_embeddings.shape[1], positions))
    return resize_position_embeddings(position_embeddings, (old, old), (new, new))


def merged_state_dict(state: dict[str, torch.Tensor], index: int) -> dict[str, torch.Tensor]:
    """The state of the dense model of task number `index`: expert rows behind shared rows, its own heads."""
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
