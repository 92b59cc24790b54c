"""Batches with images and masks of every dataset, and one step with them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...modeling.segmentation_loss import labelled_pixels
from ...semi_supervised.accumulation import mean_counts
from ...semi_supervised.losses import IGNORED, mean_over_processes
from ..batches import Row
from ..joint.step import JointBatch, JointStep, JointViews, TaskLoss
from ..views.row_views import DrawnViews


@dataclass(frozen=True)
class SegmentationViews(JointViews):
    """Moves batches to the device, changes their colours there where a strong view was drawn, and normalises.

    Attributes:
        colors: positions of red, green and blue among the channels; `None` where there are no colours.
    """

    colors: tuple[int, int, int] | None = (0, 1, 2)

    def __call__(self, rows: Row) -> JointBatch:
        """The batch of some rows; labels are int64 `(batch, height, width)`, 255 where a pixel is ignored."""
        images = self.images(rows)
        if "strong" in rows:
            images, _ = DrawnViews.moved(rows["strong"], self.device).strong_rows(images, self.colors)
        labels = rows["labels"].to(self.device, non_blocking=True).long()
        return JointBatch(self.normalized(images), labels, self.tasks(rows))


class SegmentationStep(JointStep):
    """A step with masks, whose pixels count alike in all processes."""

    def options(self, batch: JointBatch, losses: Mapping[str, TaskLoss]) -> dict[str, Any]:
        """How the pixels count."""
        weights = {task: loss.class_weights for task, loss in losses.items() if loss.class_weights is not None}
        reduce_count: Callable[[torch.Tensor], torch.Tensor] = mean_over_processes
        if batch.counts is not None:
            known = iter(batch.counts.values())  # the model asks once per task, in their order

            def reduce_count(count: torch.Tensor) -> torch.Tensor:
                return next(known)

        return {"class_weights": weights, "ignore_index": IGNORED, "reduce_count": reduce_count}

    def counted_together(self, batches: Sequence[JointBatch]) -> list[JointBatch]:
        """The batches of the micro-steps of one step, whose losses are divided by the pixels of all."""
        if len(batches) == 1:
            return list(batches)
        counts = mean_counts([self.counts(batch) for batch in batches])
        return [dataclasses.replace(batch, counts=counts) for batch in batches]

    def counts(self, batch: JointBatch) -> dict[str, torch.Tensor]:
        """The labelled pixels of each task, weighted by class where the task has weights; rows are sorted by task."""
        counts, start = {}, 0
        for task in dict.fromkeys(batch.tasks):
            stop = start + batch.tasks.count(task)
            weights = self.losses.get(task, TaskLoss()).class_weights
            counts[task] = labelled_pixels(batch.labels[start:stop], IGNORED, weights).float()
            start = stop
        return counts
