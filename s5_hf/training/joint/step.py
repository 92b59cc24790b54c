"""One step of joint training: every dataset in one mixed forward, the sum of their losses.

Source: S5 (arXiv 2508.12409), section "Multi-Dataset Fine-tuning".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

from ...semi_supervised import MethodOutput
from ...semi_supervised.losses import IGNORED, mean_over_processes
from .batches import JointBatch


@dataclass(frozen=True)
class TaskLoss:
    """How the loss of a task enters the sum.

    Attributes:
        weight: factor.
        from_epoch: epoch, counted from 0, in which it begins to count. Until then the gradients of the task's own
            layers are 0: weight decay shrinks them and their batch norm statistics follow the images, as officially.
        class_weights: float `(classes,)`, `None` for equal ones.
    """

    weight: float = 1.0
    from_epoch: int = 0
    class_weights: torch.Tensor | None = None

    def weight_at(self, epoch: int) -> float:
        """The factor in an epoch."""
        return self.weight if epoch >= self.from_epoch else 0.0


@dataclass(frozen=True)
class JointStep:
    """Turns (model, mixed batch, epoch) into a loss and the losses of the tasks.

    Attributes:
        losses: how each task's loss counts; tasks that are not named count fully.
    """

    losses: Mapping[str, TaskLoss] = field(default_factory=dict)

    def __call__(self, model: nn.Module, batch: JointBatch, epoch: int) -> MethodOutput:
        """One forward of the whole batch. The scalars are `loss/<task>`, before weighting."""
        logits = model(batch.pixel_values, task=batch.tasks).logits
        total, scalars = torch.zeros((), device=batch.pixel_values.device), {}
        for task in dict.fromkeys(batch.tasks):
            rows = [row for row, name in enumerate(batch.tasks) if name == task]
            settings = self.losses.get(task, TaskLoss())
            loss = task_loss([logits[row] for row in rows], batch.labels[rows], settings.class_weights)
            total = total + settings.weight_at(epoch) * loss
            scalars[f"loss/{task}"] = loss.detach()
        return MethodOutput(total, scalars)


def task_loss(
    logits: Sequence[torch.Tensor], labels: torch.Tensor, class_weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Cross-entropy averaged over the labelled pixels of all processes, weighted by their classes.

    Args:
        logits: `(classes, height, width)` of each image.
        labels: int64 `(images, height, width)`, 255 where a pixel is ignored.
        class_weights: float `(classes,)`.

    Returns:
        A scalar; 0, with a gradient of 0, where every pixel is ignored.
    """
    valid = labels != IGNORED
    weights = None if class_weights is None else class_weights.to(labels.device)
    counted = valid.sum() if weights is None else (weights[labels.where(valid, 0)] * valid).sum()
    total = sum(
        functional.cross_entropy(
            image[None].float(), target[None], weight=weights, ignore_index=IGNORED, reduction="sum"
        )
        for image, target in zip(logits, labels, strict=True)
    )
    return total / mean_over_processes(counted).clamp(min=1e-6)
