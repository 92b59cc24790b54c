r"""The order of an epoch as arithmetic: who reads which sample when, for any number of ranks and workers.

The blocks of a dataset are permuted; runs of `pool_blocks` of them form pools, and the rows of a pool are permuted
together. Both permutations follow from (seed, epoch) alone. This one sequence of all samples is cut into ranks of
equal length (to one sample), each rank's part into `lanes` of equal length (to one batch). A rank delivers its batches
by taking them from its lanes in turn:

    samples   |------- rank 0 -------|------- rank 1 -------|
    lanes     |- lane 0 -|- lane 1 --|- lane 0 -|- lane 1 --|
    batch            0 2 4        1 3

So batch b of a rank is known from b alone. A worker process takes every K-th batch, whatever K is, and to resume is to
start at another b. Nothing is read before its pool's turn; a worker holds one pool per lane that it reads from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


class EpochOrder:
    """All samples of one epoch in their order.

    Args:
        block_sizes: rows of each block.
        seed: chooses the order together with `epoch`.
        epoch: number of the epoch.
        pool_blocks: blocks whose rows are permuted together.
    """

    def __init__(self, block_sizes: Sequence[int], seed: int, epoch: int, pool_blocks: int) -> None:
        self._sizes = np.asarray(block_sizes, dtype=np.int64)
        self._seed, self._epoch, self._pool_blocks = seed, epoch, pool_blocks
        self._blocks = np.random.default_rng([seed, epoch]).permutation(len(self._sizes))
        sizes = self._sizes[self._blocks]
        starts = np.arange(0, len(sizes), pool_blocks)
        pool_sizes = np.add.reduceat(sizes, starts) if len(sizes) else np.zeros(0, dtype=np.int64)
        self._pool_starts = np.concatenate([[0], np.cumsum(pool_sizes)])

    def __len__(self) -> int:
        return int(self._pool_starts[-1])

    def pool_of(self, sample: int) -> int:
        """Index of the pool that holds the sample at position `sample` of the epoch."""
        return int(np.searchsorted(self._pool_starts, sample, side="right") - 1)

    def pool_start(self, pool: int) -> int:
        """Position of the first sample of a pool."""
        return int(self._pool_starts[pool])

    def pool_rows(self, pool: int) -> tuple[np.ndarray, np.ndarray]:
        """Block and row of every sample of a pool in their order, two int64 arrays."""
        blocks = self._blocks[pool * self._pool_blocks : (pool + 1) * self._pool_blocks]
        sizes = self._sizes[blocks]
        order = np.random.default_rng([self._seed, self._epoch, 1 + pool]).permutation(int(sizes.sum()))
        block_of_row = np.repeat(blocks, sizes)
        first_rows = np.repeat(np.cumsum(sizes) - sizes, sizes)
        return block_of_row[order], (np.arange(len(order)) - first_rows)[order]


@dataclass(frozen=True)
class RankBatches:
    """The batches of one rank as ranges of positions in the epoch.

    Attributes:
        num_samples: samples of the epoch, over all ranks.
        rank: this rank, from 0.
        world_size: number of ranks.
        batch_size: samples per batch.
        lanes: runs that batches are taken from in turn.
        drop_last: give every rank the same number of full batches; up to world_size * batch_size samples are left out.
    """

    num_samples: int
    rank: int
    world_size: int
    batch_size: int
    lanes: int
    drop_last: bool

    @cached_property
    def _bounds(self) -> tuple[int, int]:
        start = self.rank * self.num_samples // self.world_size
        if self.drop_last:
            even = self.num_samples // self.world_size
            return start, start + even // self.batch_size * self.batch_size
        return start, (self.rank + 1) * self.num_samples // self.world_size

    def __len__(self) -> int:
        start, stop = self._bounds
        return -(-(stop - start) // self.batch_size)

    def __getitem__(self, batch: int) -> tuple[int, range]:
        """Lane of a batch and its positions in the epoch."""
        if not 0 <= batch < len(self):
            raise IndexError(f"batch {batch} of {len(self)}")
        lane, turn = batch % self.lanes, batch // self.lanes
        per_lane, longer_lanes = divmod(len(self), self.lanes)
        before = lane * per_lane + min(lane, longer_lanes)
        first, stop = self._bounds
        start = first + (before + turn) * self.batch_size
        return lane, range(start, min(start + self.batch_size, stop))
