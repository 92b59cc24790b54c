"""The named values of an optimizer step, averaged over its micro-steps and over the processes."""

import math
from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch.distributed.tensor import DTensor

from ..semi_supervised import MethodOutput
from .errors import NonFiniteLossError, NonFiniteWeightsError


class StepMeter:
    """Collects what the micro-steps of one step give.

    Args:
        accelerator: whose processes take part.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.outputs: list[MethodOutput] = []

    def add(self, output: MethodOutput) -> None:
        """Note the output of a micro-step."""
        self.outputs.append(output)

    def reduce(self, stop: bool) -> tuple[dict[str, float], list[float], bool]:
        """Empty the meter: named means, class shares of the confident pseudo-labels, and whether any process stops.

        The shares are empty where a method has no pseudo-labels, and all 0 where none is confident.

        Args:
            stop: whether this process was asked to stop.
        """
        names = ["loss", *self.outputs[0].scalars]
        rows = [torch.stack([output.loss.detach(), *output.scalars.values()]).float() for output in self.outputs]
        means = torch.stack(rows).mean(dim=0)
        counts = [output.class_counts for output in self.outputs if output.class_counts is not None]
        asked = torch.full_like(means[:1], float(stop))
        together = torch.cat([means, sum(counts), asked] if counts else [means, asked])
        *found, stops = self.accelerator.reduce(together, "sum").tolist()  # the only wait for the device in a step
        self.outputs = []
        totals = found[len(names) :]
        shares = [total / max(sum(totals), 1.0) for total in totals]
        values = [total / self.accelerator.num_processes for total in found[: len(names)]]
        return dict(zip(names, values, strict=True)), shares, stops > 0


def require_finite(values: dict[str, float], step: int, last_good: str) -> None:
    """Raise a NonFiniteLossError on every process if the loss of a step is NaN or infinite on any of them."""
    if not math.isfinite(values["loss"]):
        parts = ", ".join(f"{name} {value:g}" for name, value in values.items())
        raise NonFiniteLossError(
            f"the loss of step {step} is not finite ({parts}); the weights were left as they were before it. "
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
