"""Attention in bfloat16 on a processor, head by head, so that the weights of a head stay in the cache.

torch's fused attention is no faster in bfloat16 than in float32 on a processor. Written out, with the scores of one
head at a time, attention takes less than half of its time, and its gradient about half. As in attention that is
written out under autocast, scores and weights are rounded to bfloat16.
"""

import torch

__all__ = ["OPERATION", "attention_by_head"]


# An operation of its own, so that selective checkpointing keeps its result and not the weights of every head.
@torch.library.custom_op("s5_hf::attention_by_head", mutates_args=(), device_types="cpu")
def attention_by_head(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """Values weighted by the softmax of the scaled products of queries and keys, with a gradient.

    Args:
        query: bfloat16 `(batch, heads, queries, channels)`.
        key: bfloat16 `(batch, heads, keys, channels)`.
        value: bfloat16 `(batch, heads, keys, value channels)`.
        scale: of the products.

    Returns:
        bfloat16 `(batch, heads, queries, value channels)`.
    """
    queries, keys, values = _by_head(query * scale, key, value)
    context = query.new_empty(*queries.shape[:2], values.shape[2])
    with torch.autocast("cpu", enabled=False):
        for head in range(len(queries)):
            context[head] = (queries[head] @ keys[head].T).softmax(dim=-1) @ values[head]
    return context.unflatten(0, query.shape[:2])


@torch.library.custom_op("s5_hf::attention_by_head_backward", mutates_args=(), device_types="cpu")
def _gradients(
    gradient: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of query, key and value; the weights of a head are computed again."""
    queries, keys, values, gradients = _by_head(query * scale, key, value, gradient)
    found = [torch.empty_like(part, memory_format=torch.contiguous_format) for part in (queries, keys, values)]
    with torch.autocast("cpu", enabled=False):
        for head, (of_query, of_key, of_value) in enumerate(zip(*found, strict=True)):
            weights = (queries[head] @ keys[head].T).softmax(dim=-1)
            torch.mm(weights.T, gradients[head], out=of_value)
            of_weights = gradients[head] @ values[head].T
            # Of the softmax: weights * (gradient - its sum weighted over the keys), in one pass.
            of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
            torch.mm(of_scores, keys[head], out=of_query)
            torch.mm(of_scores.T, queries[head], out=of_key)
    found[0] *= scale
    of_query, of_key, of_value = (part.unflatten(0, query.shape[:2]) for part in found)
    return of_query, of_key, of_value


def _by_head(*parts: torch.Tensor) -> list[torch.Tensor]:
    return [part.flatten(0, 1) for part in parts]


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
