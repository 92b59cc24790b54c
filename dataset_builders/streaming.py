"""A shuffled, resumable stream of batches over the blocks of a dataset, for PyTorch.

    dataset = load_dataset("rs4p-1m", data_dir=..., split="train", streaming=True)
    stream = ShuffledStream(dataset, batch_size=12, seed=0, rank=rank, world_size=world_size)
    loader = StreamLoader(stream, num_workers=4, collate_fn=collate)
    for epoch in range(epochs):
        stream.set_epoch(epoch)
        for batch in loader:
            ...
    state = loader.state_dict()  # at any point, also between two batches

The order is that of `epoch_order`: it depends on the seed, the epoch, the batch size and `lanes`, and not on the
number of workers, which may change at a resume. The state is one number, the batches that were delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from datasets import Dataset, Features, IterableDataset
from datasets.features.features import decode_nested_example, require_decoding
from torch.utils.data import DataLoader, get_worker_info

from .dataset_blocks import blocks_of
from .epoch_order import EpochOrder, RankBatches
from .errors import CorruptImageError
from .images import DECODING_ERRORS
from .shards import Block, Sample

_DEFAULT_POOL_BLOCKS = 4
_MAX_WORKERS = 1024
# Places in the memory that workers share: the epoch, the batch that iterations begin at, whether workers iterate.
_EPOCH, _START, _IN_WORKERS = range(3)


class ShuffledStream(torch.utils.data.IterableDataset):
    """Batches (lists of samples with decoded images) in an order that (seed, epoch) decides.

    Args:
        dataset: what `load_dataset` returned for a name of the registry: streaming (also after
            `split_dataset_by_node`, or of several splits) or not; or any map-style dataset with `__len__` and
            `__getitem__`.
        batch_size: samples per batch; the last batch of a lane of the last rank may be smaller.
        seed: chooses the order together with the epoch.
        rank, world_size: this process among those that share the epoch.
        lanes: runs of blocks that batches come from in turn. A multiple of the number of workers lets each worker read
            its own blocks; with other numbers several workers read one block, each its part.
        pool_blocks: blocks whose samples are mixed, which is what a worker holds in memory per lane. By default 4;
            all where samples are files of their own, which need no memory.
        transform: applied to each decoded sample, in the worker.
        corrupt_images: `"raise"`, or `"skip"` to leave broken images out of their batch and count them in `skipped`.
        drop_last: give every rank the same number of full batches.

    Raises:
        TypeError: if the dataset is of another kind, or was mapped, filtered or shuffled before.
        ValueError: for numbers out of range.
    """

    def __init__(
        self,
        dataset: IterableDataset | Dataset | Sequence,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        lanes: int = 4,
        pool_blocks: int | None = None,
        transform: Callable[[Sample], Sample] | None = None,
        corrupt_images: str = "raise",
        drop_last: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("batch_size", batch_size), ("world_size", world_size), ("lanes", lanes)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        if corrupt_images not in ("raise", "skip"):
            raise ValueError(f"corrupt_images must be raise or skip, got {corrupt_images!r}")
        blocks = blocks_of(dataset)
        rank, world_size = _combined_ranks(dataset, rank, world_size)
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be between 0 and {world_size - 1}, got {rank}")
        self.features = _features_to_decode(dataset)
        self._encoded_columns = {
            column: feature for column, feature in (self.features or {}).items() if require_decoding(feature)
        }
        self.transform, self.corrupt_images = transform, corrupt_images
        self.seed, self.batch_size, self.lanes = seed, batch_size, lanes
        self._blocks = blocks
        self._block_sizes = [block.num_rows for block in blocks]
        in_memory = not all(block.random_access for block in blocks)
        self.pool_blocks = pool_blocks or (_DEFAULT_POOL_BLOCKS if in_memory else max(1, len(blocks)))
        self._batches = RankBatches(sum(self._block_sizes), rank, world_size, batch_size, lanes, drop_last)
        # Shared with the workers, so that they see set_epoch also when they outlive an epoch.
        self._shared = torch.zeros(3, dtype=torch.int64).share_memory_()
        self._delivered = 0
        self._skipped = torch.zeros(_MAX_WORKERS, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        return len(self._batches)

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration belongs to."""
        return int(self._shared[_EPOCH])

    @property
    def delivered(self) -> int:
        """Batches of this epoch that were handed out, as far as this process knows."""
        return self._delivered

    @property
    def skipped(self) -> int:
        """Corrupt images that were left out since the stream was made, over all workers of this rank."""
        return int(self._skipped.sum())

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration. Naming the present one keeps the position of a resume."""
        if epoch < 0:
            raise ValueError(f"epoch must not be negative, got {epoch}")
        if epoch != self.epoch:
            self._move_to(epoch, 0)

    def state_dict(self, delivered: int | None = None) -> dict[str, int]:
        """The position: what `load_state_dict` needs to continue with exactly the next batch.

        Args:
            delivered: batches of this epoch that the training loop has received, counted from the epoch's beginning.
                Needed with the workers of a plain `DataLoader`, which read ahead; `StreamLoader` counts by itself.

        Raises:
            RuntimeError: if workers read the stream and nobody counted.
        """
        if delivered is None and self._shared[_IN_WORKERS]:
            raise RuntimeError(
                "worker processes read ahead of the training loop: use StreamLoader, or pass delivered=... batches"
            )
        return {
            "epoch": self.epoch,
            "delivered": self.delivered if delivered is None else delivered,
            **self._identity(),
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume at a position from `state_dict`. The number of workers may differ.

        Raises:
            ValueError: if the stream's order is not that of the state: another seed, batch size, number of ranks,
                lanes or dataset size.
        """
        differing = {
            name: (state.get(name), value) for name, value in self._identity().items() if state.get(name) != value
        }
        if differing:
            raise ValueError(f"the state belongs to another order, as name: (state, stream): {differing}")
        if not 0 <= state["delivered"] <= len(self):
            raise ValueError(f"the state has delivered {state['delivered']} of {len(self)} batches")
        self._move_to(state["epoch"], state["delivered"])

    def begin(self) -> int:
        """Note that an iteration begins; returns the batch that it begins at. For loaders that count."""
        self._delivered = int(self._shared[_START])
        self._shared[_IN_WORKERS] = 0
        return self._delivered

    def count(self, delivered: int) -> None:
        """Note how many batches of this epoch have been handed out. For loaders that count."""
        self._delivered = delivered

    def end(self) -> None:
        """Note that an epoch was handed out in full: the next iteration belongs to the next one."""
        self._move_to(self.epoch + 1, 0)

    def _move_to(self, epoch: int, delivered: int) -> None:
        self._shared[_EPOCH], self._shared[_START], self._delivered = epoch, delivered, delivered

    def __iter__(self) -> Iterator[list[Sample]]:
        worker = get_worker_info()
        if worker is not None:
            self._shared[_IN_WORKERS] = 1
            yield from self._batches_from(int(self._shared[_START]) + worker.id, worker.num_workers, worker.id)
            return
        start = self.begin()
        for delivered, batch in enumerate(self._batches_from(start, 1, 0), start=start + 1):
            self.count(delivered)
            yield batch
        self.end()

    def _batches_from(self, start: int, step: int, slot: int) -> Iterator[list[Sample]]:
        """Every `step`-th batch from `start` on; corrupt images are counted in `slot`."""
        pools = _Pools(EpochOrder(self._block_sizes, self.seed, self.epoch, self.pool_blocks), self._blocks)
        for index in range(start, len(self), step):
            lane, positions = self._batches[index]
            samples = (self._sample(*pools.raw_sample(lane, position), slot) for position in positions)
            yield [sample for sample in samples if sample is not None]

    def _identity(self) -> dict[str, int]:
        """What decides the order besides the epoch."""
        batches = self._batches
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "world_size": batches.world_size,
            "lanes": self.lanes,
            "pool_blocks": self.pool_blocks,
            "num_samples": batches.num_samples,
        }

    def _sample(self, rows: Sequence[Sample], row: int, name: str, slot: int) -> Sample | None:
        """The decoded and transformed sample of a row, `None` for a corrupt one that is skipped."""
        try:
            sample = self._decoded(rows[row], name)
        except CorruptImageError:
            if self.corrupt_images == "raise":
                raise
            self._skipped[slot] += 1
            return None
        return sample if self.transform is None else self.transform(sample)

    def _decoded(self, sample: Sample, name: str) -> Sample:
        if self.features is None:
            return sample
        try:
            return sample | {
                column: decode_nested_example(feature, sample[column])
                for column, feature in self._encoded_columns.items()
                if sample[column] is not None
            }
        except DECODING_ERRORS as error:
            raise CorruptImageError(f"{sample.get('id')} in {name}: {error}") from error


class _Pools:
    """The pools that lanes are in: their order, and the rows of the blocks that have to be held in memory."""

    def __init__(self, order: EpochOrder, blocks: Sequence[Block]) -> None:
        self._order, self._blocks = order, blocks
        self._pool_of_lane: dict[int, int] = {}
        self._rows_of_pool: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._loaded: dict[int, dict[int, Sequence[Sample]]] = {}

    def raw_sample(self, lane: int, position: int) -> tuple[Sequence[Sample], int, str]:
        """Loaded rows, row and block's name of the sample at a position of the epoch."""
        pool = self._order.pool_of(position)
        if self._pool_of_lane.get(lane) != pool:
            self._enter(lane, pool)
        blocks, rows = self._rows_of_pool[pool]
        offset = position - self._order.pool_start(pool)
        block = self._blocks[blocks[offset]]
        return self._load(pool, int(blocks[offset]), block), int(rows[offset]), block.name

    def _enter(self, lane: int, pool: int) -> None:
        """Move a lane to a pool and drop the pools that no lane is in."""
        self._pool_of_lane[lane] = pool
        for left in set(self._rows_of_pool) - set(self._pool_of_lane.values()):
            del self._rows_of_pool[left], self._loaded[left]
        if pool not in self._rows_of_pool:
            self._rows_of_pool[pool], self._loaded[pool] = self._order.pool_rows(pool), {}

    def _load(self, pool: int, index: int, block: Block) -> Sequence[Sample]:
        if block.random_access:
            return block.load()
        loaded = self._loaded[pool]
        if index not in loaded:
            loaded[index] = block.load()
        return loaded[index]


class StreamLoader(DataLoader):
    """A `DataLoader` for a `ShuffledStream` that knows which batches the training loop has received.

    Args:
        stream: what to load.
        num_workers: worker processes.
        collate_fn: turns a list of samples into a batch; by default the list itself.
        options: of `DataLoader`, except those of batches and samplers.
    """

    def __init__(
        self,
        stream: ShuffledStream,
        num_workers: int = 0,
        collate_fn: Callable[[list[Sample]], object] | None = None,
        **options: object,
    ) -> None:
        super().__init__(
            stream, batch_size=None, num_workers=num_workers, collate_fn=collate_fn or _unchanged, **options
        )

    def __iter__(self) -> Iterator[object]:
        stream = self.dataset
        start = stream.begin()
        epoch = stream.epoch
        for delivered, batch in enumerate(super().__iter__(), start=start + 1):
            stream.count(delivered)
            yield batch
        if stream.epoch == epoch:  # without workers the stream itself has moved on
            stream.end()

    def state_dict(self) -> dict[str, int]:
        """The position after the last batch that was handed out."""
        return self.dataset.state_dict(delivered=self.dataset.delivered)

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume at a position from `state_dict`."""
        self.dataset.load_state_dict(state)


def _features_to_decode(dataset: object) -> Features | None:
    """The features that turn raw samples into decoded ones, `None` where a dataset yields finished samples."""
    raw = isinstance(dataset, IterableDataset) or (isinstance(dataset, Dataset) and dataset.format["type"] is None)
    return dataset.features if raw else None


def _combined_ranks(dataset: object, rank: int, world_size: int) -> tuple[int, int]:
    """Rank and number of ranks, also counting those of `split_dataset_by_node`."""
    split = dataset._distributed if isinstance(dataset, IterableDataset) else None
    if split is None:
        return rank, world_size
    return split.rank * world_size + rank, split.world_size * world_size


def _unchanged(samples: list[Sample]) -> list[Sample]:
    return samples
