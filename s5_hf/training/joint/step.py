"""One step with images of every dataset: a mixed forward, and the sum of the tasks' losses.

Source: S5 (arXiv 2508.12409), "Multi-Dataset Fine-tuning".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ...semi_supervised import MethodOutput
from ..batches import Row
from ..views.strong import normalize, to_unit_range


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
class JointBatch:
    """Images of several tasks, sorted by task.

    Attributes:
        pixel_values: normalised `(batch, channels, height, width)`.
        labels: as the model takes them.
        tasks: the task of each image.
        counts: pixels by which the loss of each task is divided, in the order of the tasks; `None` for those of this
            batch over all processes.
    """

    pixel_values: torch.Tensor
    labels: Any
    tasks: list[str]
    counts: Mapping[str, torch.Tensor] | None = None


@dataclass(frozen=True)
class JointViews:
    """What makes batches on the device of collated rows.

    Attributes:
        names: of the tasks.
        device: of the network.
        mean, std: of the channels, for images in 0..1.
    """

    names: tuple[str, ...]
    device: torch.device
    mean: Sequence[float]
    std: Sequence[float]

    def images(self, rows: Row) -> torch.Tensor:
        """The images `(batch, channels, height, width)` in 0..1."""
        return to_unit_range(rows["image"].to(self.device, non_blocking=True))

    def normalized(self, images: torch.Tensor) -> torch.Tensor:
        """Images in 0..1 as the network takes them."""
        return normalize(images, self.mean, self.std)

    def tasks(self, rows: Row) -> list[str]:
        """The task of each row."""
        return [self.names[task] for task in rows["task"].tolist()]


@dataclass(frozen=True)
class JointStep:
    """Turns (model, mixed batch, epoch) into a loss and the losses of the tasks.

    Attributes:
        losses: how each task's loss counts; tasks that are not named count fully.
    """

    losses: Mapping[str, TaskLoss] = field(default_factory=dict)

    def __call__(self, model: nn.Module, batch: JointBatch, epoch: int) -> MethodOutput:
        """One forward of the whole batch. The scalars are `loss/<task>`, before weighting, and what `scalars` adds."""
        losses = {task: self.losses.get(task, TaskLoss()) for task in dict.fromkeys(batch.tasks)}
        output = model(
            batch.pixel_values,
            labels=batch.labels,
            task=batch.tasks,
            task_weights={task: loss.weight_at(epoch) for task, loss in losses.items()},
            **self.options(batch, losses),
        )
        scalars = {f"loss/{task}": loss.detach() for task, loss in output.task_losses.items()}
        return MethodOutput(output.loss, scalars | self.scalars(output))

    def options(self, batch: JointBatch, losses: Mapping[str, TaskLoss]) -> dict[str, Any]:
        """What else the model takes."""
        return {}

    def scalars(self, output: Any) -> dict[str, torch.Tensor]:
        """What else of the model's output is logged."""
        return {}
