"""Batches with images of every dataset, and one step with them: a mixed forward, and the sum of the tasks' losses.

Source: S5 (arXiv 2508.12409), section "Multi-Dataset Fine-tuning".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

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
