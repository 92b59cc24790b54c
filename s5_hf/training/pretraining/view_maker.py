"""From a batch of weak views on the host to what a method takes, on the device."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ...semi_supervised import LabelledBatch, UnlabelledBatch
from ...semi_supervised.accumulation import Batches
from ..batches import Row
from ..views.row_views import DrawnViews
from ..views.sample_reader import IGNORED
from ..views.strong import box_masks, normalize, to_unit_range


@dataclass(frozen=True)
class ViewMaker:
    """Moves batches to the device, makes the strong views there and normalises.

    Attributes:
        device: of the network.
        mean, std: of the channels, for images in 0..1.
        reverse: whether a batch that is its own partner pastes its rows in reverse order.
        colors: positions of red, green and blue among the channels; `None` where there are no colours.
    """

    device: torch.device
    mean: Sequence[float]
    std: Sequence[float]
    reverse: bool = False
    colors: tuple[int, int, int] | None = (0, 1, 2)

    def labelled(self, batch: Row) -> LabelledBatch:
        """Rows of weak views with labels, normalised; in other colours where a strong view was drawn for them."""
        images = to_unit_range(self._move(batch["image"]))
        if "strong" in batch:
            images, _ = DrawnViews.moved(batch["strong"], self.device).strong_rows(images, self.colors)
        return LabelledBatch(normalize(images, self.mean, self.std), self._move(batch["labels"]).long())

    def unlabelled(self, batch: Row, partner: Row | None = None) -> UnlabelledBatch:
        """Weak views, strong views and CutMix boxes.

        Args:
            batch: rows of weak views, with what was drawn for each strong view.
            partner: the batch that CutMix pastes from; `None` for the same batch.
        """
        images = to_unit_range(self._move(batch["image"]))
        drawn = DrawnViews.moved(batch["strong"], self.device)
        strong, boxes = [], []
        for view in range(len(drawn)):
            changed, box = drawn.strong_rows(images, self.colors, view)
            strong.append(normalize(changed, self.mean, self.std))
            boxes.append(box_masks(box, images.shape[-1], self.device))
        return UnlabelledBatch(
            weak=normalize(images, self.mean, self.std),
            strong=tuple(strong),
            ignored=self._move(batch["labels"]) == IGNORED,
            boxes=tuple(boxes),
            partner=None if partner is None else self.unlabelled(partner),
            reverse=self.reverse,
        )

    def _move(self, values: torch.Tensor) -> torch.Tensor:
        return values.to(self.device, non_blocking=True)


def joined(
    views: ViewMaker,
    labelled: Iterator[Row | None],
    unlabelled: Iterator[Row] | None,
    partners: Iterator[Row] | None,
    without: int,
) -> Iterator[Batches]:
    """Rows of the streams, together and on the device; the first `without` batches have no unlabelled images."""
    for number, rows in enumerate(labelled):
        unlabelled_batch = None
        if unlabelled is not None and number >= without:
            unlabelled_batch = views.unlabelled(next(unlabelled), None if partners is None else next(partners))
        yield None if rows is None else views.labelled(rows), unlabelled_batch
