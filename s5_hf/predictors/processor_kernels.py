"""The faster one of the ways in which torch can multiply matrices on a processor.

torch hands float32 products to MKL, which does not use AVX-512 on processors of AMD. oneDNN, which torch carries as
well, does, and takes half the time (`benchmarks/linears.py`). And attention is computed head by head, which is faster
than torch's in bfloat16, with AMX for its gradient only, and in float32 by oneDNN.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from .head_attention import attention_by_head, fused_is_faster
from .onednn_linear import linear_by_onednn

__all__ = ["ProcessorKernels", "onednn_is_faster", "processor_kernels"]

# Multiplications of a product from which on it repays to bring the operands into oneDNN's form: 1 ms of MKL.
_WORTHWHILE = 2**26
# Dimensions of the largest tensors that oneDNN takes from torch.
_MOST_DIMENSIONS = 5
# Weights of a head of attention from which on a call for each head repays: where torch's way is fast, and where not.
_LARGE_HEAD, _SMALL_HEAD = 2**18, 2**16


def processor_kernels(device: torch.device | str) -> AbstractContextManager:
    """A context in which torch takes the faster way on a processor; without effect on other devices.

    Results differ from those outside by rounding, below 1e-5 of their size. `torch.backends.mkldnn.flags(False)`
    switches it off.
    """
    return ProcessorKernels() if torch.device(device).type == "cpu" else nullcontext()


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN multiplies float32 matrices faster than MKL, which torch takes: on AMD processors with AVX-512.

    It follows from the processor and not from a measurement, so that a machine always gives the same bits.
    """
    information = Path("/proc/cpuinfo")
    vendor = information.read_text(encoding="utf-8") if information.exists() else platform.processor()
    has_both = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    return has_both and "AuthenticAMD" in vendor and torch.backends.cpu.get_cpu_capability() == "AVX512"


class ProcessorKernels(TorchFunctionMode):
    """While it is active, some functions of torch are computed another way, where that is faster.

    Linear layers in float32, and convolutions of single pixels where torch would take MKL for them: by oneDNN.
    Transposed convolutions that make a block of each pixel, where gradients are needed: as linear layers.
    Attention: head by head, see `attention_by_head`.

    Attributes:
        active: how many of these contexts are open.
    """

    active: ClassVar[int] = 0

    def __enter__(self) -> ProcessorKernels:
        ProcessorKernels.active += 1
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        ProcessorKernels.active -= 1
        super().__exit__(*error)

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        faster = _FASTER.get(func)
        if faster is not None and torch.backends.mkldnn.enabled and not torch.compiler.is_compiling():
            found = faster(*args, **kwargs)
            if found is not None:
                return found
        return func(*args, **kwargs)


def _linear(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor | None:
    """`functional.linear` by oneDNN, `None` where that would not be faster."""
    # Weights of another class, such as quantised ones, know best how they are multiplied.
    own = type(weight) in (torch.Tensor, torch.nn.Parameter) and weight.ndim == 2
    plain = own and input.layout == torch.strided and _is_float32(input) and _is_float32(weight)
    if not plain or torch.is_autocast_enabled("cpu") or not onednn_is_faster():
        return None
    if not 2 <= input.ndim <= _MOST_DIMENSIONS or input.numel() * weight.shape[0] < _WORTHWHILE:
        return None
    return linear_by_onednn(input, weight, bias)


def _convolution(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> torch.Tensor | None:
    """`functional.conv2d` of single pixels as a linear layer, which leaves its result channels last.

    torch itself takes oneDNN for all convolutions but these, and for these where it has several threads.
    """
    by_pixel = weight.shape[2:] == (1, 1) and groups == 1 and input.ndim == 4
    still = all(value in (1, (1, 1)) for value in (stride, dilation)) and padding in (0, (0, 0))
    if not (by_pixel and still) or torch.get_num_threads() > 1:
        return None
    pixels = _linear(input.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias)
    return None if pixels is None else pixels.permute(0, 3, 1, 2)


def _enlargement(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> torch.Tensor | None:
    """`functional.conv_transpose2d` whose steps are as long as its kernel as a linear layer, with channels last.

    Every pixel becomes a block of its own. It is for gradients: torch's take up to 2.5 times as long, while its
    enlargement by itself is as fast.
    """
    if input.device.type != "cpu" or not (torch.is_grad_enabled() and (input.requires_grad or weight.requires_grad)):
        return None
    rows, columns = weight.shape[2:]
    by_blocks = stride in (rows, (rows, columns)) and rows == columns and groups == 1 and input.ndim == 4
    plain = all(value in (0, (0, 0)) for value in (padding, output_padding)) and dilation in (1, (1, 1))
    if not (by_blocks and plain) or input.numel() * rows * columns * weight.shape[1] < _WORTHWHILE:
        return None
    operands = (
        input.permute(0, 2, 3, 1).contiguous(),
        weight.permute(2, 3, 1, 0).flatten(0, 2),
        None if bias is None else bias.repeat(rows * columns),
    )
    blocks = _linear(*operands)
    if blocks is None:
        blocks = functional.linear(*operands)
    blocks = blocks.unflatten(3, (rows, columns, weight.shape[1]))
    return blocks.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor | None:
    """`functional.scaled_dot_product_attention` head by head, `None` where that would not be faster."""
    plain = attn_mask is None and dropout_p == 0 and not is_causal and not enable_gqa
    parts = (query, key, value)
    if not plain or any(part.ndim != 4 for part in parts) or query.shape[:2] != key.shape[:2]:
        return None
    half = all(part.dtype == torch.bfloat16 and part.device.type == "cpu" for part in parts)
    whole = all(_is_float32(part) for part in parts) and not torch.is_autocast_enabled("cpu") and onednn_is_faster()
    if not (half or whole) or not _pays_by_head(query, key):
        return None
    return attention_by_head(query, key, value, query.shape[-1] ** -0.5 if scale is None else float(scale))


def _pays_by_head(query: torch.Tensor, key: torch.Tensor) -> bool:
    """Whether heads `(batch, heads, tokens, channels)` are large enough for a call for each."""
    slow = query.dtype == torch.bfloat16 and not fused_is_faster()
    return query.shape[2] * key.shape[2] >= (_SMALL_HEAD if slow else _LARGE_HEAD)


def _is_float32(tensor: torch.Tensor) -> bool:
    return tensor.dtype == torch.float32 and tensor.device.type == "cpu"


_FASTER = {
    functional.linear: _linear,
    functional.conv2d: _convolution,
    functional.conv_transpose2d: _enlargement,
    functional.scaled_dot_product_attention: _attention,
}
