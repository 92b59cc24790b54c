"""Batches of several detection datasets, and one step of joint training with them.

Source: S5 (arXiv 2508.12409), "Multi-Dataset Fine-tuning"; the losses are those of the detector itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from ...semi_supervised import MethodOutput
from ..batches import Row
from ..joint.task_loss import TaskLoss
from ..views.strong import normalize, to_unit_range

LISTED = ("boxes", "classes")
"""Columns of a row whose length differs from image to image."""


@dataclass(frozen=True)
class DetectionBatch:
    """Images of several tasks, sorted by task.

    Attributes:
        pixel_values: normalised `(batch, channels, size, size)`.
        pixel_mask: bool `(batch, size, size)`, where there is image and no padding.
        labels: `boxes` `(n, 5)` and `class_labels` `(n,)` of each image.
        tasks: the task of each image.
    """

    pixel_values: torch.Tensor
    pixel_mask: torch.Tensor
    labels: list[dict[str, torch.Tensor]]
    tasks: list[str]


@dataclass(frozen=True)
class DetectionViews:
    """Moves batches to the device and normalises.

    Attributes:
        names: of the tasks.
        device: of the network.
        mean, std: of the channels, for images in 0..1.
    """

    names: tuple[str, ...]
    device: torch.device
    mean: Sequence[float]
    std: Sequence[float]

    def __call__(self, rows: Row) -> DetectionBatch:
        """The batch of some rows."""
        images = to_unit_range(rows["image"].to(self.device, non_blocking=True))
        height, width = images.shape[2:]
        sizes = rows["size"].to(self.device)
        below = torch.arange(height, device=self.device) < sizes[:, :1]
        beside = torch.arange(width, device=self.device) < sizes[:, 1:]
        labels = [
            {"boxes": boxes.to(self.device), "class_labels": classes.to(self.device)}
            for boxes, classes in zip(rows["boxes"], rows["classes"], strict=True)
        ]
        tasks = [self.names[task] for task in rows["task"].tolist()]
        mask = below[:, :, None] & beside[:, None, :]
        return DetectionBatch(normalize(images, self.mean, self.std), mask, labels, tasks)


def collate(rows: Sequence[Row]) -> Row:
    """Rows to a batch: every column stacked, boxes and classes listed."""
    return {
        name: [row[name] for row in rows] if name in LISTED else torch.stack([row[name] for row in rows])
        for name in rows[0]
    }


@dataclass(frozen=True)
class DetectionStep:
    """Turns (model, mixed batch, epoch) into a loss and the losses of the tasks.

    Every process divides a loss by its own samples, as officially.

    Attributes:
        losses: how each task's loss counts; tasks that are not named count fully.
    """

    losses: Mapping[str, TaskLoss] = field(default_factory=dict)

    def __call__(self, model: nn.Module, batch: DetectionBatch, epoch: int) -> MethodOutput:
        """One forward of the whole batch. The scalars are `loss/<task>`, before weighting, and its four parts."""
        weights = {task: self.losses.get(task, TaskLoss()).weight_at(epoch) for task in dict.fromkeys(batch.tasks)}
        output = model(
            batch.pixel_values,
            labels=batch.labels,
            task=batch.tasks,
            task_weights=weights,
            pixel_mask=batch.pixel_mask,
        )
        scalars = {f"loss/{task}": loss.detach() for task, loss in output.task_losses.items()}
        for task, parts in output.loss_parts.items():
            scalars |= {f"loss/{task}/{name}": part.detach() for name, part in parts.items()}
        return MethodOutput(output.loss, scalars)
