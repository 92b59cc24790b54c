"""Batches with images and masks of every dataset, and one step with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...semi_supervised.losses import IGNORED, mean_over_processes
from ..batches import Row
from ..joint.step import JointBatch, JointStep, JointViews, TaskLoss
from ..views.strong import StrongAugmentation, draw_strong_parameters, strong_view


@dataclass(frozen=True)
class SegmentationViews(JointViews):
    """Moves batches to the device, changes their colours there and normalises.

    Attributes:
        augmentation: of the colours, `None` for none.
        colors: positions of red, green and blue among the channels; `None` where there are no colours.
    """

    augmentation: StrongAugmentation | None
    colors: tuple[int, int, int] | None = (0, 1, 2)

    def __call__(self, rows: Row) -> JointBatch:
        """The batch of some rows; labels are int64 `(batch, height, width)`, 255 where a pixel is ignored."""
        images = self.images(rows)
        if self.augmentation is not None:
            channels, size = images.shape[1], images.shape[-1]
            parameters = draw_strong_parameters(rows["seed"].tolist(), size, self.augmentation, channels=channels)
            images = strong_view(images, parameters, self.colors)
        labels = rows["labels"].to(self.device, non_blocking=True).long()
        return JointBatch(self.normalized(images), labels, self.tasks(rows))


class SegmentationStep(JointStep):
    """A step with masks, whose pixels count alike in all processes."""

    def options(self, batch: JointBatch, losses: Mapping[str, TaskLoss]) -> dict[str, Any]:
        """How the pixels count."""
        weights = {task: loss.class_weights for task, loss in losses.items() if loss.class_weights is not None}
        return {"class_weights": weights, "ignore_index": IGNORED, "reduce_count": mean_over_processes}
