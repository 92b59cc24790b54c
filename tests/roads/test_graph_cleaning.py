"""Simpler graphs: what stays, what goes, and what the edges say afterwards."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.roads.graph_cleaning import simplified_graph, without_isolated_nodes, without_stubs
from s5_hf.roads.graphs import RoadGraph


def line(*points):
    return RoadGraph(np.array(points, dtype=float), np.array([[k, k + 1] for k in range(len(points) - 1)]))


def distance_to(point, graph):
    """From a point to the nearest edge."""
    starts, ends = graph.nodes[graph.edges[:, 0]], graph.nodes[graph.edges[:, 1]]
    along = ends - starts
    shares = (((point - starts) * along).sum(1) / (along**2).sum(1)).clip(0, 1)
    return np.linalg.norm(starts + shares[:, None] * along - point, axis=1).min()


def test_a_straight_road_becomes_one_edge_with_the_mean_of_its_values():
    graph = line((0, 0), (10, 0), (40, 0), (50, 0))
    simple, fields = simplified_graph(graph, 0.5, {"confidence": np.array([0.2, 0.8, 0.5])})
    assert simple.nodes.tolist() == [[0, 0], [50, 0]]
    assert simple.edges.tolist() == [[0, 1]]
    np.testing.assert_allclose(fields["confidence"], [(10 * 0.2 + 30 * 0.8 + 10 * 0.5) / 50])


def test_corners_stay_where_they_exceed_the_tolerance():
    graph = line((0, 0), (10, 1), (20, 0), (20, 20))
    assert len(simplified_graph(graph, 0.5)[0].nodes) == 4
    assert simplified_graph(graph, 2)[0].nodes.tolist() == [[0, 0], [20, 0], [20, 20]]


def test_roads_with_common_ends_and_rings_stay():
    nodes = np.array([[0, 0], [20, 0], [10, 3], [10, -3], [50, 50], [60, 50], [60, 60], [50, 60]], dtype=float)
    edges = [[0, 2], [2, 1], [0, 3], [3, 1], [4, 5], [5, 6], [6, 7], [7, 4]]
    simple, _ = simplified_graph(RoadGraph(nodes, np.array(edges)), 1000)
    assert len(simple.edges) >= 3 + 3  # two ways around, and a triangle at least


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), tolerance=st.sampled_from([0.0, 1.0, 5.0, 40.0]))
def test_every_graph_keeps_its_shape_within_the_tolerance(seed, tolerance):
    generator = np.random.default_rng(seed)
    places = generator.choice(20 * 20, 14, replace=False)
    nodes = np.stack([places % 20, places // 20], axis=1) * 5.0
    pairs = np.array([(a, b) for a in range(14) for b in range(a)])
    edges = pairs[generator.choice(len(pairs), 16, replace=False)]
    graph = RoadGraph(nodes, edges)
    simple, fields = simplified_graph(graph, tolerance, {"confidence": np.ones(16)})
    assert (fields["confidence"] == 1).all()
    assert len(fields["confidence"]) == len(simple.edges) <= 16
    for node, degree in zip(graph.nodes, graph.degrees(), strict=True):
        if degree != 2:
            place = np.flatnonzero((simple.nodes == node).all(axis=1))
            assert simple.degrees()[place].tolist() == [degree]
        elif degree:
            assert distance_to(node, simple) <= tolerance + 1e-9
    assert graph.lengths().sum() >= simple.lengths().sum() - 1e-9
    # As many independent cycles as before.
    assert len(simple.edges) - len(simple.nodes) == len(graph.edges) - len(graph.nodes)


def test_stubs_go_and_what_they_hung_on_becomes_one_road():
    nodes = np.array([[0, 0], [50, 0], [100, 0], [50, 8], [30, 90], [33, 90], [200, 200]], dtype=float)
    graph = RoadGraph(nodes, np.array([[0, 1], [1, 2], [1, 3], [4, 5]]))
    pruned, fields = without_stubs(graph, 10, {"confidence": np.array([0.5, 0.6, 0.7, 0.8])})
    assert pruned.nodes.tolist() == [[0, 0], [50, 0], [100, 0], [200, 200]]
    assert pruned.edges.tolist() == [[0, 1], [1, 2]]
    assert fields["confidence"].tolist() == [0.5, 0.6]
    assert len(pruned.chains()) == 1
    assert len(without_stubs(graph, 0)[0].edges) == 4
    assert without_isolated_nodes(pruned).nodes.tolist() == [[0, 0], [50, 0], [100, 0]]


def test_of_two_stubs_at_a_crossing_only_the_shorter_one_goes():
    """Without it the other one is the end of a long road."""
    graph = RoadGraph(np.array([[0, 0], [100, 0], [106, 0], [100, 5.0]]), np.array([[0, 1], [1, 2], [1, 3]]))
    assert without_stubs(graph, 10)[0].nodes.tolist() == [[0, 0], [100, 0], [106, 0]]


def test_refused():
    with pytest.raises(ValueError, match="simplify must be a number of pixels from 0 on, got -1"):
        simplified_graph(line((0, 0), (1, 1)), -1)
    with pytest.raises(ValueError, match="prune"):
        without_stubs(line((0, 0), (1, 1)), float("nan"))
