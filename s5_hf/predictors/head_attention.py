"""Attention on a processor, head by head, so that the weights of a block of queries stay in the cache.

Without AMX torch's fused attention is no faster in bfloat16 than in float32, and it takes MKL for float32. Written
out, with the scores of one head and of some queries at a time, attention takes less than half of its time in bfloat16
and two thirds in float32 by oneDNN, and so does its gradient. As in attention that is written out under autocast,
scores and weights are rounded to bfloat16 where that is the format. With AMX the fused attention is faster in
bfloat16, but its gradient is not.
"""

from collections.abc import Iterator
from functools import cache

import torch
from torch.nn import functional

from .onednn_linear import product_by_onednn, transposed_product_by_onednn

__all__ = ["OPERATION", "attention_by_head", "fused_is_faster"]

# Scores that are held at a time: 4 MiB in float32.
_SCORES = 2**20


@cache
def fused_is_faster() -> bool:
    """Whether torch's fused attention in bfloat16 is faster than that by head: on processors with AMX.

    It follows from the processor and not from a measurement, so that a machine always gives the same bits.
    """
    # Releases of torch that cannot say have none that uses it.
    return hasattr(torch.cpu, "get_capabilities") and bool(torch.cpu.get_capabilities().get("amx_bf16"))


# An operation of its own, so that selective checkpointing keeps its result and not the weights of every head.
@torch.library.custom_op("s5_hf::attention_by_head", mutates_args=(), device_types="cpu")
def attention_by_head(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """Values weighted by the softmax of the scaled products of queries and keys, with a gradient.

    Args:
        query: bfloat16 or float32 `(batch, heads, queries, channels)`.
        key: `(batch, heads, keys, channels)`, of the same dtype.
        value: `(batch, heads, keys, value channels)`, of the same dtype.
        scale: of the products.

    Returns:
        `(batch, heads, queries, value channels)`, of the same dtype.
    """
    if query.dtype == torch.bfloat16 and fused_is_faster():
        return functional.scaled_dot_product_attention(query, key, value, scale=scale)
    queries, keys, values = _by_head(query * scale, key, value)
    context = query.new_empty(*queries.shape[:2], values.shape[2])
    with torch.autocast("cpu", enabled=False):
        for head in range(len(queries)):
            by_channel = values[head].T.contiguous()
            for rows in _blocks(queries, keys):
                weights = _product(queries[head, rows], keys[head]).softmax(dim=-1)
                context[head, rows] = _product(weights, by_channel)
    return context.unflatten(0, query.shape[:2])


@torch.library.custom_op("s5_hf::attention_by_head_backward", mutates_args=(), device_types="cpu")
def _gradients(
    gradient: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of query, key and value; the weights of a head are computed again."""
    queries, keys, values, gradients = _by_head(query * scale, key, value, gradient)
    of_query = torch.empty_like(queries)
    of_key, of_value = (torch.zeros(part.shape) for part in (keys, values))  # sums over blocks of queries, in float32
    with torch.autocast("cpu", enabled=False):
        for head in range(len(queries)):
            by_channel = keys[head].T.contiguous()
            for rows in _blocks(queries, keys):
                weights = _product(queries[head, rows], keys[head]).softmax(dim=-1)
                of_value[head] += _transposed_product(weights, gradients[head, rows])
                of_weights = _product(gradients[head, rows], values[head])
                # Of the softmax: weights * (gradient - its sum weighted over the keys), in one pass.
                of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
                of_query[head, rows] = _product(of_scores, by_channel)
                of_key[head] += _transposed_product(of_scores, queries[head, rows])
    of_query *= scale
    found = (part.to(query.dtype).unflatten(0, query.shape[:2]) for part in (of_query, of_key, of_value))
    of_query, of_key, of_value = found
    return of_query, of_key, of_value


def _by_head(*parts: torch.Tensor) -> list[torch.Tensor]:
    return [part.flatten(0, 1).contiguous() for part in parts]


def _blocks(queries: torch.Tensor, keys: torch.Tensor) -> Iterator[slice]:
    """Rows of queries whose scores stay in the cache."""
    rows = max(1, _SCORES // keys.shape[1])
    return (slice(start, start + rows) for start in range(0, queries.shape[1], rows))


def _product(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """`first @ second.T`."""
    return product_by_onednn(first, second) if first.dtype == torch.float32 else first @ second.T


def _transposed_product(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """`first.T @ second`."""
    return transposed_product_by_onednn(first, second) if first.dtype == torch.float32 else first.T @ second


def _remember(
    ctx: torch.autograd.function.FunctionCtx,  # as torch names it
    inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor, float],
    output: torch.Tensor,
) -> None:
    *parts, ctx.scale = inputs
    ctx.save_for_backward(*parts)


def _backward(
    ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
    return *_gradients(gradient, *ctx.saved_tensors, ctx.scale), None


attention_by_head.register_autograd(_backward, setup_context=_remember)

OPERATION = torch.ops.s5_hf.attention_by_head.default
"""Attention as the dispatcher of torch knows it."""
