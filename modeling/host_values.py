"""Numbers of the host on the device, without a wait for it."""

from collections.abc import Sequence

import torch

__all__ = ["constants_like", "on_device"]


def on_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Values on the device, any shape; the host does not wait until they are there."""
    from_host = values.device.type == "cpu" and values.numel()
    pinned = values.pin_memory() if device.type == "cuda" and from_host else values
    return pinned.to(device, non_blocking=True)


def constants_like(values: torch.Tensor, numbers: Sequence[float]) -> torch.Tensor:
    """Numbers `(n,)` of the dtype and on the device of `values`. (`new_tensor` would wait for a GPU.)"""
    return on_device(torch.tensor(numbers, dtype=values.dtype), values.device)
