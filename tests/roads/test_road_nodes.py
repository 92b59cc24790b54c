"""Nodes from scores: the decisions of a plain loop over all points, however the rows come in."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.roads.road_nodes import NodeFinder, NodeSettings, RollingSuppression, released_road_nodes, road_nodes


def brute_force(points, scores, radius):
    """Indices of the points that stay, the best first."""
    order = sorted(range(len(points)), key=lambda index: (-scores[index], points[index][1], points[index][0]))
    kept = []
    for index in order:
        if all(math.dist(points[index], points[other]) > radius for other in kept):
            kept.append(index)
    return kept


def brute_force_nodes(keypoint, road, chosen):
    stages = []
    for scores, threshold, radius in (
        (keypoint, chosen.keypoint_threshold, chosen.keypoint_spacing),
        (road, chosen.road_threshold, chosen.road_spacing),
    ):
        points = np.argwhere(scores > 255 * threshold)[:, ::-1]
        kept = brute_force(points.tolist(), [int(scores[y, x]) for x, y in points], radius)
        stages.append([(int(x), int(y)) for x, y in points[kept]])
    points = stages[0] + stages[1]
    values = [1000 + int(keypoint[y, x]) for x, y in stages[0]] + [int(road[y, x]) for x, y in stages[1]]
    return {points[index] for index in brute_force(points, values, chosen.road_spacing)}


def as_set(points):
    return {tuple(point) for point in points.tolist()}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([2, 5, 256]),
    radii=st.sampled_from([(0.0, 1.0), (1.5, 3.0), (3.0, 6.0), (5.0, 2.5)]),
    cuts=st.lists(st.integers(0, 30), max_size=6),
)
def test_decisions_do_not_depend_on_the_pieces(seed, levels, radii, cuts):
    generator = np.random.default_rng(seed)
    maps = generator.integers(0, levels, (2, 30, 17)) * (255 // (levels - 1))
    keypoint, road = np.where(generator.random((2, 30, 17)) < 0.4, maps, 0).astype(np.uint8)
    chosen = NodeSettings(0.3, 0.2, *radii)
    expected = brute_force_nodes(keypoint, road, chosen)
    whole = road_nodes(keypoint, road, chosen)
    assert as_set(whole.points) == expected
    assert len(whole.points) == len(expected)
    finder, found = NodeFinder(17, chosen), []
    bounds = [0, *sorted(cuts), 30]
    for top, bottom in itertools.pairwise(bounds):
        piece = finder.add(keypoint[top:bottom], road[top:bottom])
        found += piece.points.tolist()
        assert {point for point in expected if point[1] < finder.settled} <= {tuple(point) for point in found}
    found += finder.add(keypoint[:0], road[:0], is_last=True).points.tolist()
    assert len(found) == len(expected)
    assert {tuple(point) for point in found} == expected
    assert finder.settled > 30


def test_waiting_points_are_few():
    """A long road needs no more than the rows around the last ones, so that memory does not grow with the map."""
    generator = np.random.default_rng(0)
    suppression = RollingSuppression(4.0, 20)
    given_points = 0
    for top in range(0, 4000, 20):
        points = np.stack([np.full(20, 10), np.arange(top, top + 20)], axis=1)
        kept, _ = suppression.add(points, generator.integers(0, 255, 20), top + 20)
        given_points += len(kept)
        assert top + 20 - suppression.settled < 60
        assert len(suppression._kept) < 30
    assert 4000 / 9 < given_points < 4000 / 5


def test_keypoints_come_first_and_their_scores_are_told():
    keypoint, road = np.zeros((2, 40, 40), dtype=np.uint8)
    road[20, :] = 200
    keypoint[20, 10] = 100
    found = road_nodes(keypoint, road, NodeSettings(0.2, 0.5, 8, 16))
    assert found.points[found.is_keypoint].tolist() == [[10, 20]]
    assert found.scores[found.is_keypoint].tolist() == [100]
    others = found.points[~found.is_keypoint]
    assert len(others)
    assert (np.abs(others[:, 0] - 10) > 16).all()
    assert (found.scores[~found.is_keypoint] == 200).all()


def test_the_release_suppresses_only_once():
    """Points 10 pixels apart: the first passes of the release do not thin them, the last one does."""
    keypoint, road = np.zeros((2, 8, 64), dtype=np.uint8)
    road[4, ::10] = [200, 210, 220, 230, 240, 250, 254]
    chosen = NodeSettings(0.2, 0.5, 8, 16)
    assert as_set(released_road_nodes(keypoint, road, chosen)) == {(60, 4), (40, 4), (20, 4), (0, 4)}
    road[4, 30] = road[4, 40] = 230  # of equal scores the last comes first
    assert (40, 4) in as_set(released_road_nodes(keypoint, road, chosen))
    assert (30, 4) in as_set(road_nodes(keypoint, road, chosen).points)


def test_refused():
    with pytest.raises(ValueError, match=r"road_threshold must be in 0\.\.1, got 1\.5"):
        NodeSettings(road_threshold=1.5)
    with pytest.raises(ValueError, match="keypoint_spacing"):
        NodeSettings(keypoint_spacing=-1)
    with pytest.raises(ValueError, match=r"road scores must be uint8 \(rows, 4\).*float64"):
        NodeFinder(4).add(np.zeros((2, 4), dtype=np.uint8), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="keypoint scores"):
        NodeFinder(4).add(np.zeros((2, 5), dtype=np.uint8), np.zeros((2, 4), dtype=np.uint8))
