"""What a method gets: a labelled and an unlabelled batch, and the partner that CutMix pastes from."""

from dataclasses import dataclass
from typing import TypeVar

import torch

Partner = TypeVar("Partner")


@dataclass(frozen=True)
class LabelledBatch:
    """Weak views with labels.

    Attributes:
        pixel_values: normalised `(batch, channels, height, width)`; of pairs `(batch, 2, channels, height, width)`.
        labels: int64 `(batch, height, width)`, 255 where a pixel is ignored.
        count: pixels by which their loss is divided, a scalar; `None` for those of this batch over all processes.
    """

    pixel_values: torch.Tensor
    labels: torch.Tensor
    count: torch.Tensor | None = None


@dataclass(frozen=True)
class UnlabelledBatch:
    """One weak view and the strong views made from it.

    Attributes:
        weak: normalised, of the shape of `LabelledBatch.pixel_values`.
        strong: the strong views, before CutMix, each of the shape of `weak`.
        ignored: bool `(batch, height, width)`, true where padding was.
        boxes: per strong view, bool `(batch, height, width)`, true where the partner is pasted.
        partner: the batch that is pasted from; `None` for the same batch.
        reverse: within the same batch, whether the rows in reverse order are pasted (as UniMatch V2 does; the middle
            one of an odd batch meets itself) or neighbours are.
        counts: per strong view, pixels by which its loss is divided; `None` for those of this batch over all
            processes.
    """

    weak: torch.Tensor
    strong: tuple[torch.Tensor, ...]
    ignored: torch.Tensor
    boxes: tuple[torch.Tensor, ...]
    partner: "UnlabelledBatch | None" = None
    reverse: bool = False
    counts: tuple[torch.Tensor, ...] | None = None

    def valid(self, view: int) -> torch.Tensor:
        """Bool `(batch, height, width)`, where a strong view has no padding once the partner is pasted."""
        pasted = self.partners_in_batch(self.ignored) if self.partner is None else self.partner.ignored
        return ~paste(self.ignored, pasted, self.boxes[view])

    def count(self, view: int) -> torch.Tensor | None:
        """The pixels by which the loss of a strong view is divided, if they are given."""
        return None if self.counts is None else self.counts[view]

    def partners_in_batch(self, values: torch.Tensor) -> torch.Tensor:
        """For every row the one that is pasted onto it, where the batch is its own partner."""
        return values.flip(0) if self.reverse else swap_neighbours(values)


def swap_neighbours(values: torch.Tensor) -> torch.Tensor:
    """Rows 0 and 1, 2 and 3 ... exchanged; the last three of an odd number go round.

    Every row gets another row. Pairs stay within any even part of the batch, so a batch that is divided among
    processes has the same pairs. The order of a batch is random, so that neighbours are as good as any.

    Raises:
        ValueError: for a single row, which would be pasted onto itself.
    """
    count = len(values)
    if count < 2:
        raise ValueError(
            "CutMix within a batch needs at least two unlabelled images per process, got one; "
            "use a larger unlabelled batch or cutmix_partner: second_batch"
        )
    paired = count - 3 * (count % 2)  # the others go round
    swapped = values[:paired].unflatten(0, (-1, 2)).flip(1).flatten(0, 1) if paired else values[:0]
    return torch.cat([swapped, values[paired:].roll(-1, dims=0)]) if count % 2 else swapped


def paste(values: torch.Tensor, pasted: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """`pasted` inside the boxes, `values` outside; `(batch, height, width)` or with more axes after the batch."""
    return torch.where(boxes.reshape(len(boxes), *[1] * (values.ndim - 3), *boxes.shape[1:]), pasted, values)
