"""What a method gets: a labelled and an unlabelled batch, and the partner that CutMix pastes from."""

from dataclasses import dataclass
from typing import TypeVar

import torch

Partner = TypeVar("Partner")


@dataclass(frozen=True)
class LabelledBatch:
    """Weak views with labels.

    Attributes:
        pixel_values: normalised `(batch, channels, height, width)`.
        labels: int64 `(batch, height, width)`, 255 where a pixel is ignored.
    """

    pixel_values: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class UnlabelledBatch:
    """One weak view and the strong views made from it.

    Attributes:
        weak: normalised `(batch, channels, height, width)`.
        strong: the strong views, before CutMix, each of the shape of `weak`.
        ignored: bool `(batch, height, width)`, true where padding was.
        boxes: per strong view, bool `(batch, height, width)`, true where the partner is pasted.
        partner: the batch that is pasted from; `None` for the same batch.
        reverse: within the same batch, whether the rows in reverse order are pasted (as UniMatch V2 does; the middle
            one of an odd batch meets itself) or neighbours are.
    """

    weak: torch.Tensor
    strong: tuple[torch.Tensor, ...]
    ignored: torch.Tensor
    boxes: tuple[torch.Tensor, ...]
    partner: "UnlabelledBatch | None" = None
    reverse: bool = False

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
    order = [index ^ 1 for index in range(count)]
    if count % 2:
        order[-3:] = [count - 2, count - 1, count - 3]
    return values[torch.tensor(order, device=values.device)]


def paste(values: torch.Tensor, pasted: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """`pasted` inside the boxes, `values` outside; `(batch, height, width)` or with channels after the batch."""
    return torch.where(boxes if values.ndim == 3 else boxes[:, None], pasted, values)
