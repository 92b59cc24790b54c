"""Activation checkpointing that keeps what is slow to compute, and computes the rest again in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch.utils.checkpoint import create_selective_checkpoint_contexts

from ..predictors.head_attention import OPERATION as ATTENTION_BY_HEAD
from ..predictors.onednn_linear import OPERATION as LINEAR_BY_ONEDNN
from ..predictors.processor_kernels import ProcessorKernels

__all__ = ["checkpointing_arguments"]

# Matrix products and attention, by every name that torch has for them, on GPUs and on processors.
_KEPT = (
    *("mm", "addmm", "bmm", "baddbmm"),
    *("_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu"),
    *("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"),
)


def checkpointing_arguments(kind: str) -> dict[str, object] | None:
    """What `PreTrainedModel.gradient_checkpointing_enable` takes for a recipe's `gradient_checkpointing`.

    `None` for "false". "true" computes everything again. "selective" keeps the results of matrix products and
    attention. Norms, activations and sums are computed again. The gradients stay the same to the bit.

    Raises:
        ValueError: if it is none of these.
    """
    if kind not in ("false", "true", "selective"):
        raise ValueError(f"checkpointing must be false, true or selective, got {kind!r}")
    if kind == "false":
        return None
    return {"use_reentrant": False, "context_fn": partial(_contexts, selective=kind == "selective")}


def _contexts(selective: bool) -> tuple[AbstractContextManager, AbstractContextManager]:
    """The contexts of a block's forward pass and of its repetition, which must take the same kernels."""
    forward, again = nullcontext(), nullcontext()
    if selective:
        operations = [getattr(torch.ops.aten, name).default for name in _KEPT if hasattr(torch.ops.aten, name)]
        contexts = create_selective_checkpoint_contexts([*operations, ATTENTION_BY_HEAD, LINEAR_BY_ONEDNN])
        forward, again = (_with_own_weights(context) for context in contexts)
    return forward, _with_kernels(again) if ProcessorKernels.active else again


@contextmanager
def _with_kernels(context: AbstractContextManager) -> Iterator[None]:
    with ProcessorKernels(), context:
        yield


@contextmanager
def _with_own_weights(context: AbstractContextManager) -> Iterator[None]:
    """The context, where autocast takes no converted weights from earlier passes.

    A repetition converts them anew, and every operation of the forward pass must come again in the same order.
    """
    former = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        with context:
            yield
    finally:
        torch.set_autocast_cache_enabled(former)
