"""Batches with images of every dataset, and one step with them: a mixed forward, and the sum of the tasks' losses.

Source: S5 (arXiv 2508.12409), section "Multi-Dataset Fine-tuning".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from ...semi_supervised import MethodOutput
from ...semi_supervised.losses import IGNORED, mean_over_processes
from ..batches import Row
from ..joint.task_loss import TaskLoss
from ..views.strong import StrongAugmentation, draw_strong_parameters, normalize, strong_view, to_unit_range


@dataclass(frozen=True)
class SegmentationBatch:
    """Images of several tasks, sorted by task.

    Attributes:
        pixel_values: normalised `(batch, channels, height, width)`.
        labels: int64 `(batch, height, width)`, 255 where a pixel is ignored.
        tasks: the task of each image.
    """

    pixel_values: torch.Tensor
    labels: torch.Tensor
    tasks: list[str]


@dataclass(frozen=True)
class SegmentationViews:
    """Moves batches to the device, changes their colours there and normalises.

    Attributes:
        names: of the tasks.
        device: of the network.
        mean, std: of the channels, for images in 0..1.
        augmentation: of the colours, `None` for none.
    """

    names: tuple[str, ...]
    device: torch.device
    mean: Sequence[float]
    std: Sequence[float]
    augmentation: StrongAugmentation | None

    def __call__(self, rows: Row) -> SegmentationBatch:
        """The batch of some rows."""
        images = to_unit_range(rows["image"].to(self.device, non_blocking=True))
        if self.augmentation is not None:
            parameters = draw_strong_parameters(rows["seed"].tolist(), images.shape[-1], self.augmentation)
            images = strong_view(images, parameters)
        labels = rows["labels"].to(self.device, non_blocking=True).long()
        tasks = [self.names[task] for task in rows["task"].tolist()]
        return SegmentationBatch(normalize(images, self.mean, self.std), labels, tasks)


@dataclass(frozen=True)
class SegmentationStep:
    """Turns (model, mixed batch, epoch) into a loss and the losses of the tasks.

    Attributes:
        losses: how each task's loss counts; tasks that are not named count fully.
    """

    losses: Mapping[str, TaskLoss] = field(default_factory=dict)

    def __call__(self, model: nn.Module, batch: SegmentationBatch, epoch: int) -> MethodOutput:
        """One forward of the whole batch. The scalars are `loss/<task>`, before weighting."""
        settings = {task: self.losses.get(task, TaskLoss()) for task in dict.fromkeys(batch.tasks)}
        weights = {task: found.class_weights for task, found in settings.items()}
        output = model(
            batch.pixel_values,
            labels=batch.labels,
            task=batch.tasks,
            task_weights={task: found.weight_at(epoch) for task, found in settings.items()},
            class_weights={task: found for task, found in weights.items() if found is not None},
            ignore_index=IGNORED,
            reduce_count=mean_over_processes,
        )
        return MethodOutput(output.loss, {f"loss/{task}": loss.detach() for task, loss in output.task_losses.items()})
