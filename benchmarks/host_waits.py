"""How often a program waits for its device, counted on any machine: also on one without a GPU.

A step that asks the device for a number, or for how many entries are true, stops until the device has caught up. On a
CPU nothing waits, but the questions are the same. `HostWaits` tells tensors that would be on the device from those of
the host by where they come from, and counts what would wait between them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ANSWERS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "equal")
"""Operations whose result, or its shape, the host must know before it can go on."""
MASKED = ("index", "index_put", "index_put_", "_index_put_impl_")
READ = ("tolist", "numpy", "cpu")
MOVED = ("to", "cuda")
MADE = ("tensor", "as_tensor", "new_tensor")


@contextmanager
def counted_waits(on_device: Sequence[torch.Tensor] = ()) -> Iterator[Counter]:
    """Count, by kind, what would wait for the device inside the block.

    Args:
        on_device: tensors that are there from the start, such as the weights. What is moved with `to`, and everything
            computed from these, is there too.
    """
    waits = HostWaits(on_device)
    with waits, Dispatched(waits):
        yield waits.found


class HostWaits(TorchFunctionMode):
    """Sees the calls by which tensors are moved and read."""

    def __init__(self, on_device: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.found: Counter = Counter()
        self.memory: dict[int, StorageWeakRef] = {}
        for tensor in on_device:
            self.place(tensor)

    def holds(self, value: Any) -> bool:
        """Whether a value is a tensor on the device; reading an empty one needs no wait."""
        return isinstance(value, torch.Tensor) and value.numel() > 0 and value.untyped_storage()._cdata in self.memory

    def place(self, value: Any) -> None:
        """Note that a result is on the device.

        A weak reference lets the values go and keeps the storage's number from being given to another one. Addresses
        would not do: one that a tensor of the device has left may go to one of the host, made where no mode sees it.
        """
        if isinstance(value, torch.Tensor):
            reference = StorageWeakRef(value.untyped_storage())
            self.memory[reference.cdata] = reference

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        named = named or {}
        name = getattr(function, "__name__", "")
        source = arguments[0] if arguments else None
        if name in READ and self.holds(source):
            self.found[name] += 1
        if name in MADE and (named.get("device") is not None or self.holds(source)):
            result = function(*arguments, **named)
            self.found[f"{name} of host data"] += 1
            self.place(result)
            return result
        if name in MOVED and isinstance(source, torch.Tensor) and moves(self, arguments[1:], named):
            result = function(*arguments, **named)
            if not self.holds(source) and not named.get("non_blocking"):
                self.found["blocking transfer"] += 1
            elif not self.holds(source) and result is source:
                result = source.clone()  # a CPU moves nothing; but what a GPU is sent stays on the host as well
            self.place(result)
            return result
        return function(*arguments, **named)


def moves(waits: HostWaits, arguments: Sequence[Any], named: dict[str, Any]) -> bool:
    """Whether a call of `to` names a device, or a tensor on one."""
    values = [*arguments, named.get("device"), named.get("other")]
    return any(isinstance(value, (torch.device, str)) or waits.holds(value) for value in values)


class Dispatched(TorchDispatchMode):
    """Sees every operation, also those inside of others and of the backward pass."""

    def __init__(self, waits: HostWaits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        inputs = [value for value in tree_leaves((arguments, named)) if isinstance(value, torch.Tensor)]
        on_device = any(self.waits.holds(value) for value in inputs)
        name = function.overloadpacket.__name__
        if on_device and (name in ANSWERS or (name in MASKED and has_mask(arguments))):
            self.waits.found[name] += 1
        result = function(*arguments, **(named or {}))
        if on_device:
            for value in tree_leaves(result):
                self.waits.place(value)
        return result


def has_mask(arguments: Sequence[Any]) -> bool:
    """Whether the indices of an indexing operation contain a mask."""
    indices = arguments[1] if len(arguments) > 1 else ()
    return any(isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in indices)
