"""Learning rates as a function of the step. A schedule without state resumes by itself."""

import math
from collections.abc import Callable, Sequence

import torch

SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
    "poly": lambda progress: (1 - progress) ** 0.9,
    "constant": lambda progress: 1.0,
}
"""Factor of the learning rate by name, as a function of the progress from 0 to 1."""


def learning_rate_factor(schedule: str, step: int, total_steps: int, warmup_steps: int = 0) -> float:
    """Factor of the learning rate at a step counted from 0.

    During the warm-up it grows linearly and reaches 1 at its last step; then the schedule runs from 1 towards 0,
    which it would reach at `total_steps`.

    Raises:
        ValueError: for an unknown schedule or a warm-up that takes the whole run.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule {schedule!r}; known schedules: {', '.join(SCHEDULES)}")
    if not 0 <= warmup_steps < max(total_steps, 1):
        raise ValueError(
            f"warmup_steps must lie between 0 and total_steps - 1 = {total_steps - 1}, got {warmup_steps}"
        )
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return SCHEDULES[schedule](min(1.0, (step - warmup_steps) / (total_steps - warmup_steps)))


def milestone_factor(epoch: float, milestones: Sequence[float], factor: float) -> float:
    """Factor of the learning rate after the milestones (epochs) that have passed: `factor` for each of them."""
    return factor ** sum(epoch >= milestone for milestone in milestones)


def linear_warmup(step: int, warmup_steps: int, start: float) -> float:
    """Factor that grows linearly from `start` at step 0 to 1 at step `warmup_steps`, as in mmdetection."""
    return 1.0 if step >= warmup_steps else start + (1 - start) * step / warmup_steps


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set every group to its `initial_lr` times the factor; returns the highest rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    return max(group["lr"] for group in optimizer.param_groups)
