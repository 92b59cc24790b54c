"""Weights of pseudo-labels by the rank of their probability among recent ones of their class (DWL)."""

from collections import deque
from typing import Any

import torch
from torch.nn import functional

from .losses import gather_over_processes

BINS = 20
MEMORY_SIDE = 64
"""Side of the grid at which a batch is remembered."""
NOTHING = -1
"""Class of what is not to be remembered."""


class RankMemory:
    """Probabilities of recent pseudo-labels, per class.

    Args:
        classes: how many there are.
        capacity: batches that are remembered of a class; the oldest goes first. At the start a class has one, with
            the probability 1.
    """

    def __init__(self, classes: int, capacity: int = 50) -> None:
        self.entries: list[deque[torch.Tensor]] = [deque([torch.ones(1)], maxlen=capacity) for _ in range(classes)]

    def see(self, probabilities: torch.Tensor, labels: torch.Tensor) -> None:
        """Remember a batch of all processes.

        Args:
            probabilities: float32 `(n,)`, of the likeliest class.
            labels: int64 `(n,)`, that class, or `NOTHING`. As many on every process.
        """
        probabilities, labels = gather_over_processes(probabilities), gather_over_processes(labels)
        for label in range(len(self.entries)):
            of_class = probabilities[labels == label]
            if len(of_class):
                self.entries[label].append(of_class)

    def bins(self) -> torch.Tensor:
        """The quantiles of every class, float32 `(classes, 20)`, ascending."""
        rows = []
        for entries in self.entries:
            device = entries[-1].device
            values = torch.cat([entry.to(device) for entry in entries]).sort().values
            steps = torch.arange(1, BINS + 1, dtype=torch.float64) * (len(values) - 1) / BINS
            rows.append(values[steps.round().long().to(device)])  # halves are rounded to even
        return torch.stack([row.to(rows[0].device) for row in rows])

    def state_dict(self) -> dict[str, Any]:
        """The probabilities of each class, and how they divide into batches."""
        return {
            "values": [torch.cat([entry.cpu() for entry in entries]) for entries in self.entries],
            "lengths": [[len(entry) for entry in entries] for entries in self.entries],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        for entries, values, lengths in zip(self.entries, state["values"], state["lengths"], strict=True):
            entries.clear()
            entries.extend(values.split(lengths))


def thinned(values: torch.Tensor) -> torch.Tensor:
    """Values `(batch, height, width)` at the 64 x 64 places of each image at which it is remembered, flat."""
    size = (MEMORY_SIDE, MEMORY_SIDE)
    found = functional.interpolate(values[:, None].float(), size=size, mode="nearest").flatten()
    return found.to(values.dtype)


def rank_weights(
    probabilities: torch.Tensor, labels: torch.Tensor, bins: torch.Tensor, progress: float
) -> torch.Tensor:
    """Weights in 0..1 of pseudo-labels: 2 sigmoid(k r) - 1, with r the share of its class's bins below a probability.

    Args:
        probabilities: of the likeliest class, float32 of any shape.
        labels: that class, int64 of the same shape.
        bins: as `RankMemory.bins` gives them.
        progress: of the training, 0..1; k = 2 + 20 * progress.
    """
    rank = torch.zeros_like(probabilities)
    for label, row in enumerate(bins.to(probabilities)):
        # How many bins lie strictly below; cheaper than a comparison of every pixel with every bin.
        below = torch.searchsorted(row.contiguous(), probabilities.contiguous(), right=False)
        rank = torch.where(labels == label, below.to(rank), rank)
    return 2 * torch.sigmoid((2 + 20 * progress) * rank / BINS) - 1
