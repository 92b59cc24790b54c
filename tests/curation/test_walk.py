"""Quotas, the walk and near-duplicates against loops that anyone can check by eye."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.curation.duplicates import first_of_near_duplicates, near_any
from s5_hf.curation.walk import hand_on_unfilled, largest_remainder, random_order, take_by_quota, walk_order

WEIGHTS = st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any)


def walk_by_hand(entropies, ids, clusters, quotas):
    left, taken = list(quotas), []
    for row in sorted(range(len(ids)), key=lambda row: (entropies[row], ids[row])):
        if left[clusters[row]] > 0:
            left[clusters[row]] -= 1
            taken.append(row)
    return taken


@given(target=st.integers(0, 10**7), weights=WEIGHTS)
def test_quotas_sum_to_the_target_and_stay_within_one_of_their_share(target, weights):
    quotas = largest_remainder(target, weights)
    assert quotas.sum() == target
    for quota, weight in zip(quotas.tolist(), weights, strict=True):
        assert abs(quota - Fraction(target * weight, sum(weights))) < 1


def test_largest_remainders_come_first_then_the_lowest_index():
    assert largest_remainder(10, [1, 1, 1]).tolist() == [4, 3, 3]
    assert largest_remainder(7, [50, 30, 20]).tolist() == [4, 2, 1]
    assert largest_remainder(10**15 + 1, [10**12, 10**12]).tolist() == [5 * 10**14 + 1, 5 * 10**14]


@pytest.mark.parametrize(("target", "weights"), [(-1, [1]), (3, [0, 0]), (3, [2, -1]), (3, [])])
def test_quotas_refuse(target, weights):
    with pytest.raises(ValueError, match="must"):
        largest_remainder(target, weights)


@given(target=st.integers(0, 300), weights=WEIGHTS, data=st.data())
def test_handing_on_fills_all_that_can_be_filled(target, weights, data):
    available = data.draw(st.lists(st.integers(0, 60), min_size=len(weights), max_size=len(weights)))
    quotas = largest_remainder(target, weights)
    filled = hand_on_unfilled(quotas, available, weights)
    assert filled.sum() == min(target, sum(available))
    assert (filled <= available).all()
    assert (filled >= np.minimum(quotas, available)).all()


@settings(max_examples=150)
@given(
    rows=st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.5]), st.integers(0, 3)), max_size=40),
    quotas=st.lists(st.integers(0, 6), min_size=4, max_size=4),
    seed=st.integers(0, 1000),
)
def test_walk_equals_the_loop_for_any_order_of_the_input(rows, quotas, seed):
    generator = np.random.default_rng(seed)
    ids = [f"patch/{number}" for number in generator.permutation(len(rows))]
    entropies = np.array([entropy for entropy, _ in rows], dtype=np.float32)
    clusters = np.array([cluster for _, cluster in rows], dtype=np.int16)
    taken = take_by_quota(walk_order(entropies, pa.array(ids, pa.string())), clusters, np.array(quotas))
    expected = walk_by_hand(entropies, ids, clusters, quotas)
    assert taken.tolist() == expected

    shuffled = generator.permutation(len(rows))
    again_ids = pa.chunked_array([pa.array([ids[row] for row in shuffled], pa.string())])
    again = take_by_quota(walk_order(entropies[shuffled], again_ids), clusters[shuffled], np.array(quotas))
    assert [ids[shuffled[row]] for row in again] == [ids[row] for row in expected]


@given(ids=st.lists(st.text(max_size=5), unique=True, max_size=30), seed=st.integers(0, 100))
def test_random_order_depends_on_seed_and_ids_alone(ids, seed):
    order = [ids[row] for row in random_order(pa.array(ids, pa.string()), seed)]
    turned = ids[::-1]
    assert order == [turned[row] for row in random_order(pa.array(turned, pa.string()), seed)]
    assert sorted(order) == sorted(ids)


def test_random_order_changes_with_the_seed():
    ids = pa.array([str(number) for number in range(50)])
    assert random_order(ids, 0).tolist() != random_order(ids, 1).tolist()


def test_walk_refuses_nan_and_unknown_clusters():
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        walk_order(np.array([0.1, np.nan]), pa.array(["a", "b"]))
    with pytest.raises(ValueError, match=r"0..1, got 0..2"):
        take_by_quota(np.array([0, 1]), np.array([0, 2]), np.array([1, 1]))


# Hashes that lie close to each other: a few base values, a few flipped bits.
HASHES = st.lists(
    st.tuples(st.sampled_from([0, 2**64 - 1, 0x0123456789ABCDEF]), st.lists(st.integers(0, 63), max_size=4)),
    max_size=25,
).map(lambda rows: np.array([base ^ sum(1 << bit for bit in set(bits)) for base, bits in rows], dtype=np.uint64))


def different_bits(left, right):
    return (int(left) ^ int(right)).bit_count()


@settings(max_examples=200)
@given(hashes=HASHES, distance=st.integers(0, 7))
def test_near_duplicates_equal_the_loop(hashes, distance):
    kept = []
    for row, value in enumerate(hashes):
        if all(different_bits(value, hashes[earlier]) > distance for earlier in kept):
            kept.append(row)
    assert np.flatnonzero(first_of_near_duplicates(hashes, distance)).tolist() == kept


@settings(max_examples=200)
@given(hashes=HASHES, references=HASHES, distance=st.integers(0, 7))
def test_near_any_equals_the_loop(hashes, references, distance):
    expected = [any(different_bits(value, other) <= distance for other in references) for value in hashes]
    assert near_any(hashes, references, distance).tolist() == expected


def test_distance_out_of_range():
    with pytest.raises(ValueError, match="0 to 15 bits, got 16"):
        first_of_near_duplicates(np.zeros(2, dtype=np.uint64), 16)
