"""Devices that networks run on."""

from __future__ import annotations

import torch

__all__ = ["default_device", "usable_device"]


def default_device() -> str:
    """The first GPU if there is one, else the processor."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def usable_device(name: str | torch.device) -> torch.device:
    """A device that works: a number was stored there and read back.

    Raises:
        ValueError: there is no such device on this machine; the message lists those there are.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    # torch raises any of these, by the kind of device and by how it was built.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
        raise ValueError(f"the device {name} cannot be used here; there are: {', '.join(['cpu', *gpus])}") from error
    return device
