"""Endless batches of one or several datasets whose position is one number, the batches that were taken.

The order and every augmentation follow from (seed, epoch, sample), so two runs see the same data, and a resumed run
continues with the exact next batch.
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from .signals import worker_signals
from .views.weak import SampleView

Row = dict[str, torch.Tensor]


@dataclass(frozen=True)
class SampleOrder:
    """Which samples of which dataset a process takes for which batch.

    The samples of all epochs of a dataset form one endless sequence, shuffled within each epoch. Batch `t` of all
    processes together takes the next images of each dataset, and each process takes its part: the data of a step does
    not depend on the number of processes that share it. A fractional number of images is reached on average, with one
    more or less per batch.

    Attributes:
        sizes: samples of each dataset.
        rows: images of each dataset per batch and process.
        seeds: of the shuffling, one per dataset.
        rank, world_size: this process among all.
    """

    sizes: tuple[int, ...]
    rows: tuple[int | Fraction, ...]
    seeds: tuple[int, ...]
    rank: int = 0
    world_size: int = 1

    def batch(self, index: int) -> list[tuple[int, int, int]]:
        """(dataset, sample, epoch) of each row of batch `index`, sorted by dataset."""
        places = []
        for dataset, (size, rows, seed) in enumerate(zip(self.sizes, self.rows, self.seeds, strict=True)):
            before, after = taken_rows(rows, index), taken_rows(rows, index + 1)
            count = after - before
            first = before * self.world_size + self.rank * count
            places += [(dataset, *place) for place in endless_samples(size, seed, first, count)]
        return places


def taken_rows(rows: int | Fraction, batches: int) -> int:
    """Images of a dataset in so many batches, rounded to the nearest."""
    return math.floor(rows * batches + Fraction(1, 2))


def endless_samples(num_samples: int, seed: int, first: int, count: int) -> list[tuple[int, int]]:
    """(sample, epoch) of `count` places of the endless sequence of a dataset, from place `first` on."""
    samples = []
    for position in range(first, first + count):
        epoch, offset = divmod(position, num_samples)
        samples.append((int(epoch_permutation(num_samples, seed, epoch)[offset]), epoch))
    return samples


@lru_cache(maxsize=32)
def epoch_permutation(num_samples: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the samples in an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(num_samples)


@dataclass(frozen=True)
class ViewedDatasets:
    """Rows of one or several datasets, by (dataset, sample, epoch); `task` is the number of the dataset.

    Attributes:
        samples: of each dataset.
        views: of each, which make a row of a sample in an epoch.
    """

    samples: tuple[Sequence[Any], ...]
    views: tuple[Callable[[Mapping[str, Any], int], Row], ...]

    def __getitem__(self, place: tuple[int, int, int]) -> Row:
        dataset, index, epoch = place
        sample = {"id": str(index), **self.samples[dataset][index]}
        return {"task": torch.tensor(dataset), **self.views[dataset](sample, epoch)}


@dataclass
class EndlessBatches(ABC):
    """Endless batches of one dataset.

    Attributes:
        samples: with `image`, `mask` if it has labels, and `id` if it likes.
        view: makes the rows, in the workers.
        batch_size: rows per process.
        seed, rank, world_size: see [`SampleOrder`].
        num_workers: processes; 0 reads in this one.
    """

    samples: Any
    view: SampleView
    batch_size: int
    seed: int
    rank: int = 0
    world_size: int = 1
    num_workers: int = 0

    @abstractmethod
    def __post_init__(self) -> None:
        """Check that there are enough samples."""

    @abstractmethod
    def start(self, taken: int) -> Iterator[Row]:
        """Batches from number `taken` on, for ever."""


class IndexedBatches(EndlessBatches):
    """Endless batches of a map-style dataset.

    Raises:
        ValueError: if there are no samples.
    """

    def __post_init__(self) -> None:
        if len(self.samples) == 0:
            raise ValueError(f"the {self.view.stream} dataset is empty: it has no samples")

    def start(self, taken: int) -> Iterator[Row]:
        """Batches from number `taken` on, for ever."""
        datasets = ViewedDatasets((self.samples,), (self.view,))
        order = SampleOrder((len(self.samples),), (self.batch_size,), (self.seed,), self.rank, self.world_size)
        return load_in_order(datasets, order, taken, self.num_workers)


def load_in_order(
    datasets: ViewedDatasets,
    order: SampleOrder,
    taken: int,
    num_workers: int,
    collate: Callable[[Sequence[Row]], Any] | None = None,
) -> Iterator[Any]:
    """Batches of datasets from number `taken` on, for ever.

    Args:
        datasets: give a row for every place of the order.
        order: of the places.
        taken: number of the first batch.
        num_workers: processes; 0 reads in this one.
        collate: makes a batch of its rows; by default every column is stacked.
    """
    return iter(
        DataLoader(
            datasets,
            batch_sampler=OrderedFrom(order, taken),
            collate_fn=stack_rows if collate is None else collate,
            **loader_options(num_workers),
        )
    )


def loader_options(num_workers: int) -> dict[str, Any]:
    """How every loader works: its processes, pinned memory, and random numbers of its own."""
    return {
        "num_workers": num_workers,
        "worker_init_fn": worker_signals(num_workers),
        "pin_memory": torch.cuda.is_available(),
        "generator": torch.Generator(),  # or the loader would draw from, and change, torch's own state
    }


@dataclass(frozen=True)
class OrderedFrom:
    """The endless sequence of batches from one on; what `DataLoader` calls a batch sampler."""

    order: SampleOrder
    first: int

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        return (self.order.batch(index) for index in itertools.count(self.first))


class StreamedBatches(EndlessBatches):
    """Endless batches of a streaming dataset of the registry, in the order of `ShuffledStream`.

    Raises:
        ValueError: if a process would not get a whole batch out of an epoch.
    """

    def __post_init__(self) -> None:
        from ..dataset_builders.streaming import ShuffledStream, StreamLoader

        place = {"seed": self.seed, "rank": self.rank, "world_size": self.world_size}
        self.stream = ShuffledStream(self.samples, self.batch_size, **place, drop_last=True, corrupt_images="raise")
        if len(self.stream) == 0:
            raise ValueError(
                f"the {self.view.stream} stream is empty: it has fewer samples than the "
                f"{self.batch_size * self.world_size} that {self.world_size} process(es) with batches of "
                f"{self.batch_size} need"
            )
        self.stream.transform = EpochView(self.view, self.stream)
        # Epochs may be short: the workers stay for all of them, and find the epoch in memory that the stream shares.
        options = {**loader_options(self.num_workers), "persistent_workers": self.num_workers > 0}
        self.loader = StreamLoader(self.stream, collate_fn=stack_rows, **options)

    def start(self, taken: int) -> Iterator[Row]:
        """Batches from number `taken` on, for ever."""
        epoch, delivered = divmod(taken, len(self.stream))
        state = self.stream.state_dict(delivered=delivered)
        self.loader.load_state_dict({**state, "epoch": epoch, "delivered": delivered})
        while True:
            yield from self.loader


@dataclass(frozen=True)
class EpochView:
    """The view of a sample in the epoch that its stream is in."""

    view: SampleView
    stream: Any

    def __call__(self, sample: dict[str, Any]) -> Row:
        return self.view(sample, self.stream.epoch)


def stack_rows(rows: Sequence[Row]) -> Row:
    """Rows to a batch: every column stacked."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
