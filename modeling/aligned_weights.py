"""Weights at addresses that the processor likes."""

from itertools import chain

import torch
from torch import nn

ALIGNMENT = 64
"""Bytes: a cache line, the widest vector register, and where torch puts new tensors on a processor."""


@torch.no_grad()
def align_weights(model: nn.Module) -> None:
    """Move weights and buffers in main memory to addresses that are multiples of 64 bytes; values stay.

    A file of weights is mapped into memory as it lies on the disk, at any multiple of 4 bytes. Matrix libraries choose
    their kernels by the address too, so the last digits of a model's output would depend on the length of the file's
    header. Moved once, a loaded model computes what a new one with its weights does, to the bit: same processor,
    libraries and number of threads taken for granted. The time is the same (`benchmarks/alignment.py`).

    Args:
        model: changed in place; tensors on other devices and on "meta" are left alone.
    """
    for tensor in chain(model.parameters(), model.buffers()):
        data = tensor.data
        in_memory = type(data) is torch.Tensor and data.device.type == "cpu" and data.layout == torch.strided
        if in_memory and data.data_ptr() % ALIGNMENT:
            tensor.data = data.clone()
