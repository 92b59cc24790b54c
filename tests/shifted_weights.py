"""Weights at addresses that are no multiples of 64 bytes, where matrix libraries choose other kernels.

With `S5_HF_SHIFT_WEIGHTS` in the environment every parameter is put there as it is created or loaded, each at another
address: what holds in mathematics must hold here too, and where bits are promised, bits.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

from s5_hf.modeling.aligned_weights import ALIGNMENT
from s5_hf.modeling.pretrained_model import S5PreTrainedModel

VARIABLE = "S5_HF_SHIFT_WEIGHTS"
FOR_GOOD = ExitStack()  # held here: a context manager that nobody holds is left at once


def shifted(data: torch.Tensor, turn: int) -> torch.Tensor:
    """The tensor 1 to 15 floats behind a multiple of 64 bytes; what is not in main memory stays as it is."""
    in_memory = type(data) is torch.Tensor and data.device.type == "cpu" and data.layout == torch.strided
    if not in_memory or not data.numel() or not data.is_contiguous() or _get_current_dispatch_mode() is not None:
        return data
    size = data.numel() * data.element_size()
    room = torch.empty(size + ALIGNMENT, dtype=torch.uint8, device="cpu")
    offset = (1 + turn % (ALIGNMENT // data.element_size() - 1)) * data.element_size()
    start = -room.data_ptr() % ALIGNMENT + offset
    return room[start : start + size].view(data.dtype).view(data.shape).copy_(data)


@contextmanager
def shifted_parameters(seed: int) -> Iterator[None]:
    """Inside, every new parameter of this process lies at a shifted address, and loading does not align it."""
    turns = count(seed)
    original, aligned = torch.nn.Parameter.__new__, S5PreTrainedModel.__dict__.get("from_pretrained")

    def new(cls, data=None, requires_grad=True):
        if type(data) is torch.Tensor:
            with torch.no_grad():
                data = shifted(data.detach(), next(turns))
        return original(cls, data, requires_grad)

    torch.nn.Parameter.__new__ = staticmethod(new)
    if aligned is not None:
        del S5PreTrainedModel.from_pretrained
    try:
        yield
    finally:
        torch.nn.Parameter.__new__ = staticmethod(original)
        if aligned is not None:
            S5PreTrainedModel.from_pretrained = aligned


def shift_if_asked() -> None:
    """Shift for good where the environment says so; the processes of a launcher differ from one another."""
    if os.environ.get(VARIABLE):
        FOR_GOOD.enter_context(shifted_parameters(int(os.environ[VARIABLE]) + int(os.environ.get("RANK", "0"))))
