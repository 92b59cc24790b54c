"""The named values of an optimizer step, averaged over its micro-steps and over the processes."""

import math

import torch
from accelerate import Accelerator

from ..semi_supervised import MethodOutput
from .errors import NonFiniteLossError


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
        means = self.accelerator.reduce(torch.stack(rows).mean(dim=0), "mean")
        counts = [output.class_counts for output in self.outputs if output.class_counts is not None]
        asked = torch.tensor([float(stop)], device=means.device)
        *totals, stops = self.accelerator.reduce(torch.cat([sum(counts), asked]) if counts else asked, "sum").tolist()
        self.outputs = []
        shares = [total / max(sum(totals), 1.0) for total in totals]
        return dict(zip(names, means.tolist(), strict=True)), shares, stops > 0


def require_finite(values: dict[str, float], step: int, last_good: str) -> None:
    """Raise a NonFiniteLossError on every process if the loss of a step is NaN or infinite on any of them."""
    if not math.isfinite(values["loss"]):
        parts = ", ".join(f"{name} {value:g}" for name, value in values.items())
        raise NonFiniteLossError(
            f"the loss of step {step} is not finite ({parts}); the weights were left as they were before it. "
            f"A lower learning_rate, gradient_clip or bf16 in place of fp16 may help. {last_good}"
        )
