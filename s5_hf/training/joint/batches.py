"""Batches with images of every dataset, and how many each dataset gives.

One number, the batches that were taken, says where every dataset stands: a resumed run continues with the next batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch

from ..batches import Row, ViewedDataset, endless_samples
from ..views.weak import sample_seed

FEWEST_IMAGES = 2
"""Images of a dataset in a batch: batch norm behind global pooling needs two."""


@dataclass(frozen=True)
class JointOrder:
    """Which samples of which dataset a process takes for which batch.

    Every dataset has its own endless sequence, shuffled within each of its epochs. A batch takes the next images of
    each; a fractional number of images is reached on average, with one more or less per batch.

    Attributes:
        sizes: samples of each dataset.
        rows: images of each dataset per batch and process.
        seeds: of the shuffling, one per dataset.
        rank, world_size: this process among all.
    """

    sizes: tuple[int, ...]
    rows: tuple[Fraction, ...]
    seeds: tuple[int, ...]
    rank: int = 0
    world_size: int = 1

    def batch(self, index: int) -> list[tuple[int, int, int]]:
        """(task, sample, epoch) of each row of batch `index`, sorted by task."""
        places = []
        for task, (size, rows, seed) in enumerate(zip(self.sizes, self.rows, self.seeds, strict=True)):
            before, after = taken_rows(rows, index), taken_rows(rows, index + 1)
            count = after - before
            first = before * self.world_size + self.rank * count
            places += [(task, *place) for place in endless_samples(size, seed, first, count)]
        return places


def taken_rows(rows: Fraction, batches: int) -> int:
    """Images of a dataset in so many batches, rounded to the nearest."""
    return math.floor(rows * batches + Fraction(1, 2))


def rows_per_batch(
    sizes: Sequence[int], batch_sizes: Sequence[int], sampling: str, temperature: float
) -> tuple[Fraction, ...]:
    """Images of each dataset per batch and process.

    `repeat` gives each its batch size. `temperature` divides the sum of the batch sizes: a dataset's share goes with
    `size ** (1 / temperature)`, but none gets fewer than two images.

    Raises:
        ValueError: if the batch is too small for two images of each.
    """
    if sampling == "repeat":
        return tuple(Fraction(size) for size in batch_sizes)
    total = sum(batch_sizes)
    if total < FEWEST_IMAGES * len(sizes):
        raise ValueError(
            f"a batch of {total} images is too small for {len(sizes)} datasets: each needs {FEWEST_IMAGES} images"
        )
    weights = [size ** (1 / temperature) for size in sizes]
    fixed: set[int] = set()  # datasets that get the fewest; the others share the rest
    while True:
        rest = total - FEWEST_IMAGES * len(fixed)
        open_weight = sum(weight for index, weight in enumerate(weights) if index not in fixed)
        rows = [
            float(FEWEST_IMAGES) if index in fixed else rest * weight / open_weight
            for index, weight in enumerate(weights)
        ]
        small = {index for index, count in enumerate(rows) if count < FEWEST_IMAGES}
        if not small:
            return tuple(Fraction(count).limit_denominator(10_000) for count in rows)
        fixed |= small


def steps_per_epoch(
    sizes: Sequence[int], rows: Sequence[Fraction], sampling: str, processes: int, gradient_accumulation: int
) -> int:
    """Steps that take the longest dataset once (`repeat`), or as many images as all have together (`temperature`)."""
    shared = processes * gradient_accumulation
    if sampling == "repeat":
        return max(math.ceil(size / (count * shared)) for size, count in zip(sizes, rows, strict=True))
    return math.ceil(sum(sizes) / (sum(rows) * shared))


def order_seed(seed: int, task: str) -> int:
    """The seed of a dataset's order: another dataset beside it does not change it."""
    return sample_seed(seed, "order", 0, task)


@dataclass(frozen=True)
class JointDataset:
    """Rows of several datasets, by (task, sample, epoch)."""

    tasks: tuple[ViewedDataset, ...]

    def __getitem__(self, place: tuple[int, int, int]) -> Row:
        task, sample, epoch = place
        return {"task": torch.tensor(task), **self.tasks[task][sample, epoch]}
