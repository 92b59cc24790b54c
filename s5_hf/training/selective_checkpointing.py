"""Activation checkpointing that keeps what is slow to compute, and computes the rest again in the backward pass."""

from __future__ import annotations

import torch
from torch.utils.checkpoint import create_selective_checkpoint_contexts

__all__ = ["checkpointing_arguments"]

# Matrix products and attention, by every name that torch has for them: on GPUs, on processors, and by oneDNN.
_KEPT = (
    *("mm", "addmm", "bmm", "baddbmm", "mkldnn_linear"),
    *("_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu"),
    *("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"),
)


def checkpointing_arguments(kind: str) -> dict[str, object] | None:
    """What `PreTrainedModel.gradient_checkpointing_enable` takes for a recipe's `gradient_checkpointing`.

    `None` for "false". "selective" keeps the results of matrix products and attention. Norms, activations and sums,
    which hold half the memory of a block and cost a few percent of its time, are computed again; the gradients stay
    the same to the bit.
    """
    if kind == "false":
        return None
    arguments: dict[str, object] = {"use_reentrant": False}
    if kind == "selective":
        arguments["context_fn"] = _selective_contexts
    return arguments


def _selective_contexts() -> tuple[object, object]:
    operations = [getattr(torch.ops.aten, name).default for name in _KEPT if hasattr(torch.ops.aten, name)]
    return create_selective_checkpoint_contexts(operations)
