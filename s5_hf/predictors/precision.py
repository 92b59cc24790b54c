"""The number format of a network's arithmetic."""

from __future__ import annotations

import torch

__all__ = ["AUTO", "AUTO_GPU", "PRECISIONS", "has_native_bf16", "resolve_precision"]

AUTO, AUTO_GPU = "auto", "auto-gpu"
PRECISIONS = ("fp32", "bf16", AUTO, AUTO_GPU)

# As `torch.cpu.get_capabilities` names them: x86 with AVX-512 or AMX, Arm. Without these torch emulates the format.
_NATIVE_BF16 = ("avx512_bf16", "amx_bf16", "sve_bf16", "bf16")


def has_native_bf16(device: torch.device | str) -> bool:
    """Whether a processor or a GPU computes in bfloat16 itself, so that it is faster than float32 there."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older releases of torch cannot say, and then float32 is the answer that is never wrong.
    if kind != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return torch.backends.mkldnn.is_available() and any(capabilities.get(name) for name in _NATIVE_BF16)


def resolve_precision(precision: str, device: torch.device | str) -> str:
    """`"fp32"` or `"bf16"`: for `"auto"`, what the device is faster in; for `"auto-gpu"`, what a GPU is faster in.

    On a processor `"auto-gpu"` is `"fp32"`, so that maps made there do not depend on its age.

    Raises:
        ValueError: the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision in (AUTO, AUTO_GPU):
        asked = precision == AUTO or torch.device(device).type != "cpu"
        return "bf16" if asked and has_native_bf16(device) else "fp32"
    return precision
