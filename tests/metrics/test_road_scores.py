"""Scores of road graphs against brute force, and where they must be 1, 0 or nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("networkx")

from s5_hf.metrics import CITY_SCALE_APLS, SPACENET_APLS, AplsCounts, TopoCounts, compare_paths, compare_walks
from s5_hf.metrics.road_walks import RoadWalker
from s5_hf.metrics.topo import _shares
from s5_hf.roads import RoadGraph
from tests.metrics import road_scores_by_brute_force as brute_force

EMPTY = RoadGraph([], [])
RADIUS = 0.001475  # between two steps, so that no marble depends on rounding


def random_graph(seed, nodes=9, extra=3, side=352.0, shift=0.0):
    """A tree of random places with some more edges, not connected if `extra` is negative."""
    random = np.random.default_rng(seed)
    places = random.uniform(0, side, (nodes, 2))
    tree = [(int(random.integers(0, node)), node) for node in range(1, nodes)]
    more = [tuple(sorted(random.choice(nodes, 2, replace=False).tolist())) for _ in range(max(extra, 0))]
    edges = list(dict.fromkeys([*tree[: len(tree) + min(extra, 0)], *more]))
    return RoadGraph(places + random.uniform(-shift, shift, (nodes, 2)), edges)


@pytest.mark.parametrize("seed", range(4))
def test_apls_is_that_of_the_definition(seed):
    truth, found = random_graph(seed), random_graph(seed, extra=3 if seed % 2 else -1, shift=4.0)
    counts = compare_paths(truth, found, SPACENET_APLS)
    hops = brute_force.hop_graph(truth), brute_force.hop_graph(found)
    forward = brute_force.direction_score(*hops, SPACENET_APLS)
    backward = brute_force.direction_score(*hops[::-1], SPACENET_APLS)
    assert (counts.forward_pairs, counts.backward_pairs) == (forward[1], backward[1])
    assert counts.forward_penalty == pytest.approx(forward[0], abs=1e-9)
    assert counts.backward_penalty == pytest.approx(backward[0], abs=1e-9)
    assert 0 < counts.score < 1


@pytest.mark.parametrize("seed", range(4))
def test_walks_are_those_of_the_definition(seed):
    truth = RoadWalker.of(random_graph(seed, extra=0))
    found = RoadWalker.of(random_graph(seed, extra=0, shift=3.0))
    pairs = [(start, found.paired(start)) for start in truth.starting_places(0.00025, 0.0005)]
    pairs = [pair for pair in pairs if pair[1] is not None][:4]
    assert pairs
    for start, partner in pairs:
        wanted, reached = (
            brute_force.tree_marbles(walker, place, RADIUS) for walker, place in ((truth, start), (found, partner))
        )
        ours = {tuple(np.round(marble, 9)) for marble in truth.marbles(start, RADIUS).tolist()}
        assert ours == {tuple(np.round(marble, 9)) for marble in wanted}
        copies = [*wanted, *((lat + 1e-5, lon + 1e-5, *step) for lat, lon, *step in wanted)]
        shares = [brute_force.matched(*pair) / len(pair[0]) for pair in ((reached, copies), (wanted, reached))]
        assert _shares(truth, found, start, partner, RADIUS) == pytest.approx(shares, abs=1e-12)


def test_equal_graphs_score_one_and_empty_predictions_nothing():
    graph = random_graph(1)
    assert compare_paths(graph, graph, SPACENET_APLS).score == 1.0
    assert compare_walks(graph, graph).f1 > 0.99
    assert compare_paths(graph, EMPTY, SPACENET_APLS).score == 0.0
    nothing = compare_walks(graph, EMPTY)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0.0, 0.0, 0.0)
    assert math.isnan(compare_paths(EMPTY, graph, SPACENET_APLS).score) and math.isnan(compare_walks(EMPTY, graph).f1)
    assert compare_paths(EMPTY, graph, SPACENET_APLS).backward == 0.0


def test_a_missing_bridge_between_two_halves_costs_apls_more_than_pixels():
    nodes = [[200, 200], [1000, 200], [1040, 200], [1800, 200], [200, 900], [1800, 900]]
    edges = [[0, 1], [1, 2], [2, 3], [0, 4], [3, 5]]
    whole, broken = RoadGraph(nodes, edges), RoadGraph(nodes, [edge for edge in edges if edge != [1, 2]])
    counts = compare_paths(whole, broken)
    assert counts.forward < 0.6  # no way from one half to the other
    assert counts.backward == 1.0  # and no wrong way


def test_the_size_of_a_pixel_counts():
    graph, moved = random_graph(3, side=700.0), random_graph(3, side=700.0, shift=6.0)
    half = [RoadGraph(one.nodes / 2, one.edges) for one in (graph, moved)]
    assert compare_paths(*half, SPACENET_APLS, pixel_size=2.0) == compare_paths(graph, moved, SPACENET_APLS)
    assert compare_walks(*half, pixel_size=2.0) == compare_walks(graph, moved)
    for score in (compare_paths, compare_walks):
        with pytest.raises(ValueError, match="pixel_size must be above 0, got 0"):
            score(graph, moved, pixel_size=0)


def test_counts_add_up():
    one, two = AplsCounts(1.0, 4, 2.0, 4), AplsCounts(3.0, 4, 0.0, 0)
    assert one + two == AplsCounts(4.0, 8, 2.0, 4) and (one + two).score == 0.5
    assert TopoCounts(4, 2, 1.0, 2.0) + TopoCounts(4, 2, 2.0, 2.0) == TopoCounts(8, 4, 3.0, 4.0)
    assert (TopoCounts(8, 4, 3.0, 4.0).precision, TopoCounts(8, 4, 3.0, 4.0).recall) == (0.75, 0.5)


def test_the_slip_of_the_released_programs_can_be_had():
    truth, found = random_graph(5), random_graph(5, shift=5.0)
    right = compare_paths(truth, found, SPACENET_APLS)
    released = compare_paths(truth, found, replace(SPACENET_APLS, released=True))
    assert released.backward_pairs != right.backward_pairs
    assert CITY_SCALE_APLS.tile == (2048.0, 2048.0) and not CITY_SCALE_APLS.released
