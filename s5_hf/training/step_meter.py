"""The named values of an optimizer step, averaged over its micro-steps and over the processes."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch.distributed.tensor import DTensor

from ..semi_supervised import MethodOutput
from .errors import NonFiniteLossError, NonFiniteWeightsError


@dataclass(frozen=True)
class StepReport:
    """What an optimizer step gave.

    Args:
        step: counted from 0.
        values: named means over micro-steps and processes.
        class_shares: of the confident pseudo-labels; empty where a method has none, all 0 where none is confident.
        stops: whether any process was asked to stop.
    """

    step: int
    values: dict[str, float]
    class_shares: list[float]
    stops: bool


@dataclass(frozen=True)
class _Unread:
    """The values of a step on their way to the host."""

    step: int
    names: list[str]
    values: torch.Tensor
    arrived: torch.cuda.Event | None


class StepMeter:
    """Collects what the micro-steps of one step give, and reads it late enough that a GPU need not be waited for.

    Args:
        accelerator: whose processes take part.
        late: how many steps may be on their way; by default one on a GPU, where the host prepares the next step
            meanwhile, and none elsewhere.
    """

    def __init__(self, accelerator: Accelerator, late: int | None = None) -> None:
        self.accelerator = accelerator
        self.late = int(accelerator.device.type == "cuda") if late is None else late
        self.outputs: list[MethodOutput] = []
        self.unread: deque[_Unread] = deque()

    def add(self, output: MethodOutput) -> None:
        """Note the output of a micro-step."""
        self.outputs.append(output)

    def close(self, step: int, stop: bool) -> None:
        """End a step: its values are averaged over the micro-steps and processes and sent to the host.

        Args:
            step: counted from 0.
            stop: whether this process was asked to stop.
        """
        names = ["loss", *self.outputs[0].scalars]
        rows = [torch.stack([output.loss.detach(), *output.scalars.values()]).float() for output in self.outputs]
        means = torch.stack(rows).mean(dim=0)
        counts = [output.class_counts for output in self.outputs if output.class_counts is not None]
        asked = torch.full_like(means[:1], float(stop))
        together = torch.cat([means, sum(counts), asked] if counts else [means, asked])
        values, arrived = self.accelerator.reduce(together, "sum"), None
        if values.is_cuda:
            values, arrived = values.to("cpu", non_blocking=True), torch.cuda.Event()
            arrived.record()
        self.unread.append(_Unread(step, names, values, arrived))
        self.outputs = []

    def read(self, everything: bool) -> list[StepReport]:
        """The steps that have not been read, oldest first, except those that may be late.

        Args:
            everything: read the late ones too, as one does before values are logged or weights saved. From a step on
                at which a process was asked to stop, all are read in any case.
        """
        found: list[StepReport] = []
        while self.unread and (everything or len(self.unread) > self.late or any(report.stops for report in found)):
            found.append(self._report(self.unread.popleft()))
        return found

    def _report(self, unread: _Unread) -> StepReport:
        if unread.arrived is not None:
            unread.arrived.synchronize()  # the only wait for the device in a step
        *found, stops = unread.values.tolist()
        totals = found[len(unread.names) :]
        shares = [total / max(sum(totals), 1.0) for total in totals]
        values = [total / self.accelerator.num_processes for total in found[: len(unread.names)]]
        return StepReport(unread.step, dict(zip(unread.names, values, strict=True)), shares, stops > 0)


def require_finite(report: StepReport, last_good: str) -> None:
    """Raise a NonFiniteLossError on every process if the loss of a step is NaN or infinite on any of them."""
    if not math.isfinite(report.values["loss"]):
        parts = ", ".join(f"{name} {value:g}" for name, value in report.values.items())
        raise NonFiniteLossError(
            f"the loss of step {report.step} is not finite ({parts}); nothing was saved after it. "
            f"A lower learning_rate, gradient_clip or bf16 in place of fp16 may help. {last_good}"
        )


def require_finite_weights(
    models: Sequence[torch.nn.Module], accelerator: Accelerator, step: int, last_good: str
) -> None:
    """Raise a NonFiniteWeightsError on every process if weights or statistics are NaN or infinite on any of them.

    The loss of a step shows what the weights were before it: what the last step did shows in no loss.

    Args:
        models: to look at; of sharded ones every process looks at its part.
        accelerator: whose processes call this together.
        step: optimizer steps that were made.
        last_good: where the last good checkpoint is, in words.
    """
    broken = [name for model in models for name in non_finite_tensors(model)]
    count = torch.tensor([len(broken)], device=accelerator.device, dtype=torch.int32)
    if accelerator.reduce(count, "sum").item():
        first = f"{broken[0]} and {len(broken) - 1} more" if broken else "on another process"
        raise NonFiniteWeightsError(
            f"step {step} has made weights NaN or infinite ({first}); they were not saved. A lower learning_rate or "
            f"gradient_clip may help. {last_good}"
        )


def non_finite_tensors(model: torch.nn.Module) -> list[str]:
    """Names of the parameters and buffers that hold a NaN or an infinite value."""
    tensors = [(name, own_part(tensor)) for name, tensor in [*model.named_parameters(), *model.named_buffers()]]
    floats = [(name, tensor) for name, tensor in tensors if tensor.is_floating_point()]
    if not floats:
        return []
    finite = torch.stack([tensor.isfinite().all() for _, tensor in floats]).tolist()  # one answer for all
    return [name for (name, _), is_finite in zip(floats, finite, strict=True) if not is_finite]


def own_part(tensor: torch.Tensor) -> torch.Tensor:
    """What this process has of a tensor that may lie on several."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
