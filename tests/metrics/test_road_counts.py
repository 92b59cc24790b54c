"""Crossings, road pixels, and the module of `evaluate` that gathers the scores of road graphs."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.metrics import FoundCounts, RoadGraphMetrics, junction_counts, road_mask, road_pixel_counts
from s5_hf.roads import RoadGraph

CROSS = RoadGraph([[50, 50], [10, 50], [90, 50], [50, 10], [50, 90]], [[0, 1], [0, 2], [0, 3], [0, 4]])


def stars(centres):
    """A graph with a crossing at every centre."""
    nodes, edges = [], []
    for x, y in centres:
        first = len(nodes)
        nodes += [(x, y), (x + 1, y), (x - 1, y), (x, y + 1)]
        edges += [(first, first + arm) for arm in (1, 2, 3)]
    return RoadGraph(nodes, edges)


PLACES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5, unique=True)


@settings(max_examples=60, deadline=None)
@given(PLACES, PLACES)
def test_as_many_crossings_as_possible_have_partners(ours, theirs):
    near = [[math.dist(one, other) <= 10 for other in theirs] for one in ours]
    best = 0
    for chosen in itertools.permutations(range(len(theirs)), min(len(ours), len(theirs))):
        for rows in itertools.combinations(range(len(ours)), len(chosen)):
            best = max(best, sum(near[row][column] for row, column in zip(rows, chosen, strict=True)))
    assert junction_counts(stars(ours), stars(theirs)) == FoundCounts(best, len(ours), len(theirs))


def test_ends_and_bends_are_no_crossings():
    bend = RoadGraph([[0, 0], [5, 5], [9, 0]], [[0, 1], [1, 2]])
    assert junction_counts(CROSS, bend) == FoundCounts(0, 1, 0)
    assert junction_counts(CROSS, bend).recall == 0 and math.isnan(junction_counts(CROSS, bend).precision)
    with pytest.raises(ValueError, match="radius must be above 0"):
        junction_counts(CROSS, CROSS, 0)


def test_road_pixels_are_those_whose_centres_are_near_an_edge():
    graph = RoadGraph([[-5, 3], [20.3, 11.7], [20.3, 40], [9, 9]], [[0, 1], [1, 2]])
    expected = np.zeros((24, 32), dtype=bool)
    for row, column in np.ndindex(expected.shape):
        for a, b in graph.edges:
            begin, end = graph.nodes[a], graph.nodes[b]
            point = np.array([column + 0.5, row + 0.5])
            share = np.clip((point - begin) @ (end - begin) / ((end - begin) @ (end - begin)), 0, 1)
            expected[row, column] |= np.linalg.norm(begin + share * (end - begin) - point) <= 1.5
    assert np.array_equal(road_mask(graph, (32, 24), 1.5), expected)
    counts = road_pixel_counts(graph, RoadGraph([], []), (32, 24), 1.5)
    assert counts == FoundCounts(0, int(expected.sum()), 0) and counts.iou == 0
    with pytest.raises(ValueError, match="expected sides of at least 1 px"):
        road_mask(graph, (0, 4))


def test_the_module_gathers_means_of_tiles():
    metrics = RoadGraphMetrics("scene")
    wide = RoadGraph(CROSS.nodes * 8, CROSS.edges)
    metrics.add(prediction=wide, reference=wide, tile="a")
    metrics.add(prediction=wide, reference=wide, tile="a")  # from a sampler that pads
    metrics.add(prediction={"nodes": [], "edges": []}, reference={"nodes": wide.nodes, "edges": wide.edges}, tile="b")
    scores = metrics.compute()
    assert scores["tiles"] == 2 and scores["apls"] == 0.5 and scores["per_tile"]["b"]["apls"] == 0
    assert scores["topo_f1"] == pytest.approx(0.5, abs=1e-3) and scores["junction_recall"] == 0.5
    assert scores["junction_precision"] == 1.0 and scores["pixel_iou"] == 0.5
    with pytest.raises(ValueError, match="no tiles were added"):
        metrics.compute()


def test_spacenet_takes_the_f1_of_means_without_tiles_where_nothing_fits():
    small = RoadGraph(CROSS.nodes * 3, CROSS.edges)
    empty = RoadGraph([], [])
    scores = {
        name: RoadGraphMetrics(name).compute(predictions=[small, empty], references=[small, small])["topo_f1"]
        for name in ("spacenet", "city-scale")
    }
    assert scores["spacenet"] > 0.99 and scores["city-scale"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RoadGraphMetrics("paris"), "unknown protocol 'paris'; known: city-scale, spacenet, scene"),
        (lambda: RoadGraphMetrics().add(prediction=CROSS), "the reference is a NoneType, expected a RoadGraph"),
        (lambda: RoadGraphMetrics().add_batch(predictions=[CROSS], references=[]), "as many predictions"),
        (lambda: RoadGraphMetrics(pixel_size=-1).add(prediction=CROSS, reference=CROSS), "pixel_size must be above 0"),
    ],
)
def test_what_is_wrong_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()
