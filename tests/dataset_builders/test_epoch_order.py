from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from s5_hf.dataset_builders.epoch_order import EpochOrder, RankBatches

sizes = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def whole_order(order):
    found = []
    pool = 0
    while len(found) < len(order):
        assert order.pool_start(pool) == len(found)
        blocks, rows = order.pool_rows(pool)
        found += list(zip(blocks.tolist(), rows.tolist(), strict=True))
        pool += 1
    return found


@given(sizes, st.integers(0, 5), st.integers(0, 3), st.integers(1, 5))
def test_an_epoch_holds_every_row_once(block_sizes, seed, epoch, pool_blocks):
    order = EpochOrder(block_sizes, seed, epoch, pool_blocks)
    found = whole_order(order)
    assert sorted(found) == [(block, row) for block, size in enumerate(block_sizes) for row in range(size)]
    assert found == whole_order(EpochOrder(block_sizes, seed, epoch, pool_blocks))
    for position in range(len(order)):
        pool = order.pool_of(position)
        assert order.pool_start(pool) <= position < order.pool_start(pool) + len(order.pool_rows(pool)[0])


def test_seeds_and_epochs_differ():
    orders = [whole_order(EpochOrder([5] * 20, seed, epoch, 4)) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_pools_have_their_own_orders_and_epochs_their_own_blocks():
    order = EpochOrder([50] * 8, 0, 0, 2)
    rows = {tuple(order.pool_rows(pool)[1]) for pool in range(4)}
    assert len(rows) == 4
    first_blocks = {frozenset(EpochOrder([5] * 20, 0, epoch, 4).pool_rows(0)[0].tolist()) for epoch in range(5)}
    assert len(first_blocks) > 1


def test_rows_of_a_pool_are_mixed_across_its_blocks():
    blocks, _ = EpochOrder([50] * 4, 0, 0, 4).pool_rows(0)
    halves = np.bincount(blocks[:100], minlength=4)
    assert (halves > 10).all()


@given(st.integers(1, 200), st.integers(1, 5), st.integers(1, 9), st.integers(1, 6), st.booleans(), st.integers(1, 4))
def test_ranks_and_workers_share_all_samples(num_samples, world_size, batch_size, lanes, drop_last, workers):
    found, lengths = [], []
    for rank in range(world_size):
        batches = RankBatches(num_samples, rank, world_size, batch_size, lanes, drop_last)
        lengths.append(len(batches))
        for worker in range(workers):
            for index in range(worker, len(batches), workers):
                lane, positions = batches[index]
                assert lane == index % lanes
                found += positions
                assert len(positions) == batch_size or not drop_last
    assert len(set(found)) == len(found)
    if drop_last:
        assert len(set(lengths)) == 1
        assert num_samples - len(found) <= world_size * batch_size
    else:
        assert sorted(found) == list(range(num_samples))
        assert max(lengths) - min(lengths) <= 1


def test_batches_of_a_lane_follow_each_other():
    batches = RankBatches(100, 0, 1, 5, 4, False)
    for lane in range(4):
        runs = [batches[index][1] for index in range(lane, len(batches), 4)]
        assert all(first.stop == second.start for first, second in pairwise(runs))
