"""Batches with images and oriented boxes of every dataset, and one step with them.

The losses are those of the detector itself; every process divides them by its own samples, as officially.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ...semi_supervised import UnlabelledObjects
from ..batches import Row
from ..joint.step import JointBatch, JointStep, JointViews, TaskLoss

LISTED = ("boxes", "classes")
"""Columns of a row whose length differs from image to image."""


@dataclass(frozen=True)
class DetectionBatch(JointBatch):
    """Images of several tasks; labels are `boxes` `(n, 5)` and `class_labels` `(n,)` of each.

    Attributes:
        image_sizes: height and width of each image without its padding, on the host.
        unlabelled: images without labels beside them; `None` for none.
    """

    image_sizes: list[list[int]] = field(default_factory=list)
    unlabelled: UnlabelledObjects | None = None


class DetectionViews(JointViews):
    """Moves batches to the device and normalises."""

    def __call__(self, rows: Row) -> DetectionBatch:
        """The batch of some rows."""
        pixel_values = self.normalized(self.images(rows))
        labels = [
            {"boxes": boxes, "class_labels": classes}  # on the host, where the network asks for sizes
            for boxes, classes in zip(rows["boxes"], rows["classes"], strict=True)
        ]
        return DetectionBatch(pixel_values, labels, self.tasks(rows), image_sizes=rows["size"].tolist())


def collate(rows: Sequence[Row]) -> Row:
    """Rows to a batch: every column stacked, boxes and classes listed."""
    return {
        name: [row[name] for row in rows] if name in LISTED else torch.stack([row[name] for row in rows])
        for name in rows[0]
    }


class DetectionStep(JointStep):
    """A step with boxes."""

    def options(self, batch: DetectionBatch, losses: Mapping[str, TaskLoss]) -> dict[str, Any]:
        """The sizes of the images."""
        return {"image_sizes": batch.image_sizes}

    def scalars(self, output: Any) -> dict[str, torch.Tensor]:
        """The four parts of the loss of each task."""
        return {
            f"loss/{task}/{name}": part.detach()
            for task, parts in output.loss_parts.items()
            for name, part in parts.items()
        }
