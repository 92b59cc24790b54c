"""Pairs of nodes in windows, and the votes about them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.roads.pair_votes import PairVotes, neighbor_pairs, points_in_window


def test_points_on_the_border_belong_to_a_window():
    points = np.array([[0, 0], [10, 5], [11, 5], [10, 20], [5, 21], [-1, 5]])
    assert points_in_window(points, (0, 0, 10, 20)).tolist() == [0, 1, 3]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), number=st.integers(0, 12), count=st.integers(0, 5))
def test_neighbours_are_the_nearest(seed, number, count):
    places = np.random.default_rng(seed).choice(30 * 30, number, replace=False)
    points = np.stack([places // 30, places % 30], axis=1)
    neighbours, valid = neighbor_pairs(points, count, 12.0)
    assert neighbours.shape == valid.shape == (number, count)
    for source in range(number):
        distances = np.hypot(*(points - points[source]).T)
        expected = np.sort(distances[(distances < 12) & (distances > 0)])[:count]
        assert valid[source].sum() == len(expected)
        np.testing.assert_allclose(distances[neighbours[source][valid[source]]], expected)
        assert (neighbours[source][~valid[source]] == source).all()


def test_means_of_windows_decide_each_direction_alone():
    votes = PairVotes(0.5)
    votes.add([[0, 1], [1, 0], [1, 2]], [0.9, 0.1, 0.5])
    votes.add([[0, 1], [1, 2]], [0.3, 0.4])
    pairs, means, windows = votes.means()
    assert pairs.tolist() == [[0, 1], [1, 0], [1, 2]]
    np.testing.assert_allclose(means, [0.6, 0.1, 0.45])
    assert windows.tolist() == [2, 1, 2]
    edges, scores = votes.take_edges()
    assert edges.tolist() == [[0, 1]]
    np.testing.assert_allclose(scores, [0.6])
    assert len(votes.means()[0]) == 0


def test_votes_are_taken_once_a_node_is_done():
    votes = PairVotes(0.5)
    votes.add([[0, 1], [1, 0], [1, 2], [2, 1]], [0.9, 0.7, 0.8, 0.2])
    edges, scores = votes.take_edges(np.array([True, False, False]))
    assert edges.tolist() == [[0, 1]]
    assert scores.tolist() == [0.9]
    votes.add([[1, 2]], [0.6])
    edges, scores = votes.take_edges()
    assert edges.tolist() == [[1, 2]]
    np.testing.assert_allclose(scores, [0.7])


def test_a_threshold_is_a_share():
    with pytest.raises(ValueError, match=r"must be in 0\.\.1, got 2"):
        PairVotes(2)
