"""Products of float32 matrices by oneDNN, and a linear layer that keeps for its gradient what torch's own keeps.

`Tensor.to_mkldnn` and `to_dense` each keep a copy of their own, in oneDNN's form, until the backward pass. In a step
of S4P with ViT-B these would be 0.6 GiB.
"""

import torch
from torch.nn import functional

__all__ = ["OPERATION", "linear_by_onednn", "product_by_onednn", "transposed_product_by_onednn"]


def product_by_onednn(first: torch.Tensor, second: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """`first @ second.T + bias` of float32 tensors, without a gradient.

    Args:
        first: `(..., inner)`, with two to five dimensions.
        second: `(columns, inner)`.
        bias: `(columns,)`, or `None`.

    Returns:
        `(..., columns)`.
    """
    return functional.linear(first.to_mkldnn(), second, bias).to_dense()


def transposed_product_by_onednn(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """`first.T @ second` of float32 matrices `(inner, rows)` and `(inner, columns)`, without a gradient.

    To oneDNN it is the gradient of a linear layer's weights, which takes both as they lie in memory.
    """
    of_weights = [False, True, False]
    shaped = first.new_empty(first.shape[1], second.shape[1])
    return torch.ops.aten.mkldnn_linear_backward(second.to_mkldnn(), first.to_mkldnn(), shaped, of_weights)[1]


# An operation of its own, so that selective checkpointing keeps its result and not both of its forms.
@torch.library.custom_op("s5_hf::linear_by_onednn", mutates_args=(), device_types="cpu")
def linear_by_onednn(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`functional.linear` of float32 tensors, with a gradient.

    Args:
        input: `(..., in_features)`, with two to five dimensions.
        weight: `(out_features, in_features)`.
        bias: `(out_features,)`, or `None`.

    Returns:
        `(..., out_features)`.
    """
    return product_by_onednn(input, weight, bias)


@torch.library.custom_op("s5_hf::linear_by_onednn_backward", mutates_args=(), device_types="cpu")
def _gradients(
    gradient: torch.Tensor, input: torch.Tensor, weight: torch.Tensor, needed: list[bool]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of input, weight and bias; empty ones where they are not needed."""
    found = torch.ops.aten.mkldnn_linear_backward(input.to_mkldnn(), gradient.to_mkldnn(), weight, needed)
    of_input, of_weight, of_bias = (gradient.new_empty(0) if part is None else part for part in found)
    return of_input.to_dense() if of_input.is_mkldnn else of_input, of_weight, of_bias


def _remember(
    ctx: torch.autograd.function.FunctionCtx,  # as torch names it
    inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None],
    output: torch.Tensor,
) -> None:
    ctx.save_for_backward(*inputs[:2])


def _backward(ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    needed = list(ctx.needs_input_grad)
    found = _gradients(gradient, *ctx.saved_tensors, needed)
    return tuple(part if wanted else None for part, wanted in zip(found, needed, strict=True))


linear_by_onednn.register_autograd(_backward, setup_context=_remember)

OPERATION = torch.ops.s5_hf.linear_by_onednn.default
"""The linear layer as the dispatcher of torch knows it."""
