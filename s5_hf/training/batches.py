"""Endless batches of a dataset whose position is one number, the batches that were taken.

The order and every augmentation follow from (seed, epoch, sample), so two runs see the same data, and a resumed run
goes on with the exact next batch.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader

from .signals import worker_signals
from .views.weak import SampleView

Row = dict[str, torch.Tensor]


@dataclass(frozen=True)
class BatchOrder:
    """Which samples a process takes for which batch of a map-style dataset.

    The samples of all epochs form one endless sequence, shuffled within each epoch. Batch `t` of all processes
    together is the next `batch_size * world_size` of it, and each process takes its part: the data of a step does not
    depend on the number of processes that share it.

    Attributes:
        num_samples: size of the dataset.
        batch_size: samples per process.
        seed: of the shuffling.
        rank, world_size: this process among all.
    """

    num_samples: int
    batch_size: int
    seed: int
    rank: int = 0
    world_size: int = 1

    def batch(self, index: int) -> list[tuple[int, int]]:
        """(sample, epoch) of each row of batch `index`."""
        first = (index * self.world_size + self.rank) * self.batch_size
        return endless_samples(self.num_samples, self.seed, first, self.batch_size)


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
class ViewedDataset:
    """A map-style dataset whose items are rows of a batch, made from (sample, epoch)."""

    samples: Sequence[Any]
    view: SampleView

    def __getitem__(self, place: tuple[int, int]) -> Row:
        index, epoch = place
        return self.view({"id": str(index), **self.samples[index]}, epoch)


class IndexedBatches:
    """Endless batches of a map-style dataset.

    Args:
        samples: with `image`, `mask` if it has labels, and `id` if it likes.
        view: makes the rows, in the workers.
        batch_size: rows per process.
        seed, rank, world_size: see [`BatchOrder`].
        num_workers: processes; 0 reads in this one.

    Raises:
        ValueError: if there are no samples.
    """

    def __init__(
        self,
        samples: Sequence[Any],
        view: SampleView,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
    ) -> None:
        if len(samples) == 0:
            raise ValueError(f"the {view.stream} dataset is empty: it has no samples")
        self.dataset = ViewedDataset(samples, view)
        self.order = BatchOrder(len(samples), batch_size, seed, rank, world_size)
        self.num_workers = num_workers

    def start(self, taken: int) -> Iterator[Row]:
        """Batches from number `taken` on, for ever."""
        return load_in_order(self.dataset, self.order, taken, self.num_workers)


class Order(Protocol):
    """Says which places of a dataset make up batch `index`."""

    def batch(self, index: int) -> list[tuple[int, ...]]: ...


def load_in_order(
    dataset: Any,
    order: Order,
    taken: int,
    num_workers: int,
    collate: Callable[[Sequence[Row]], Any] | None = None,
) -> Iterator[Any]:
    """Batches of a dataset from number `taken` on, for ever.

    Args:
        dataset: gives a row for every place of the order.
        order: of the places.
        taken: number of the first batch.
        num_workers: processes; 0 reads in this one.
        collate: makes a batch of its rows; by default every column is stacked.
    """
    return iter(
        DataLoader(
            dataset,
            batch_sampler=OrderedFrom(order, taken),
            num_workers=num_workers,
            collate_fn=stack_rows if collate is None else collate,
            worker_init_fn=worker_signals(num_workers),
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # or the loader would draw from, and change, torch's own state
        )
    )


@dataclass(frozen=True)
class OrderedFrom:
    """The endless sequence of batches from one on; what `DataLoader` calls a batch sampler."""

    order: Order
    first: int

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        return (self.order.batch(index) for index in itertools.count(self.first))


class StreamedBatches:
    """Endless batches of a streaming dataset of the registry, in the order of `ShuffledStream`.

    Args: as for [`IndexedBatches`].

    Raises:
        ValueError: if a process would not get a whole batch out of an epoch.
    """

    def __init__(
        self,
        dataset: Any,
        view: SampleView,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
    ) -> None:
        from ..dataset_builders.streaming import ShuffledStream, StreamLoader

        self.stream = ShuffledStream(
            dataset, batch_size, seed=seed, rank=rank, world_size=world_size, drop_last=True, corrupt_images="raise"
        )
        if len(self.stream) == 0:
            raise ValueError(
                f"the {view.stream} stream is empty: it has fewer samples than the {batch_size * world_size} that "
                f"{world_size} process(es) with batches of {batch_size} need"
            )
        self.stream.transform = EpochView(view, self.stream)
        self.loader = StreamLoader(
            self.stream,
            num_workers=num_workers,
            collate_fn=stack_rows,
            worker_init_fn=worker_signals(num_workers),
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),
        )

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
