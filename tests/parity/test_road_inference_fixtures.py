"""The decisions of road graphs against the official code of SAM-Road++, exactly: candidates, nodes, pairs, graph."""

import json
from pathlib import Path

import numpy as np
import pytest

from s5_hf.roads.pair_votes import PairVotes, neighbour_pairs, points_in_window
from s5_hf.roads.road_nodes import NodeFinder, NodeSettings, released_road_nodes, road_nodes

FOLDER = Path(__file__).parent / "roads"
ABOUT = json.loads((FOLDER / "roads_inference.json").read_text(encoding="utf-8"))
CONFIG = ABOUT["config"]
SETTINGS = NodeSettings(
    CONFIG["ITSC_THRESHOLD"], CONFIG["ROAD_THRESHOLD"], CONFIG["ITSC_NMS_RADIUS"], CONFIG["ROAD_NMS_RADIUS"]
)


@pytest.fixture(scope="module")
def official():
    with np.load(FOLDER / "roads_inference.npz") as content:
        return {key: content[key] for key in content.files}


def test_nodes_of_the_release(official):
    found = released_road_nodes(official["fused_keypoint"], official["fused_road"], SETTINGS)
    np.testing.assert_array_equal(found[:, ::-1], official["nodes_row_col"])


def test_nodes_of_a_suppression_that_works(official):
    keypoint, road = official["fused_keypoint"], official["fused_road"]
    expected = official["nodes_true_suppression_stable_descending_xy"]
    np.testing.assert_array_equal(road_nodes(keypoint, road, SETTINGS).points, expected)
    finder = NodeFinder(keypoint.shape[1], SETTINGS)
    pieces = [finder.add(keypoint[top : top + 10], road[top : top + 10], top >= 182) for top in range(0, 192, 10)]
    found = np.concatenate([piece.points for piece in pieces])
    assert {tuple(point) for point in found.tolist()} == {tuple(point) for point in expected.tolist()}


def test_pairs_of_the_windows_and_the_graph(official):
    nodes = official["nodes_row_col"][:, ::-1]
    scores = {
        tuple(pair): score
        for pair, score in zip(official["scored_pairs"].tolist(), official["scored_pair_mean"], strict=True)
    }
    votes = PairVotes(CONFIG["TOPO_THRESHOLD"])
    for window in official["window_xyxy"]:
        inside = points_in_window(nodes, tuple(window))
        neighbours, valid = neighbour_pairs(nodes[inside], CONFIG["MAX_NEIGHBOR_QUERIES"], CONFIG["NEIGHBOR_RADIUS"])
        source, place = np.nonzero(valid)
        pairs = np.stack([inside[source], inside[neighbours[source, place]]], axis=1)
        votes.add(pairs, [scores[tuple(pair)] for pair in pairs.tolist()])
    pairs, means, windows = votes.means()
    order = np.lexsort(official["scored_pairs"].T[::-1])
    np.testing.assert_array_equal(pairs, official["scored_pairs"][order])
    np.testing.assert_array_equal(windows, official["scored_pair_windows"][order])
    np.testing.assert_allclose(means, official["scored_pair_mean"][order], rtol=1e-6)
    edges, _ = votes.take_edges()
    places = {tuple(node): number for number, node in enumerate(official["nodes_row_col"].tolist())}
    expected = {
        tuple(sorted((places[tuple(node)], places[tuple(other)])))
        for node, others in ABOUT["adjacency"]
        for other in others
    }
    assert {tuple(edge) for edge in edges.tolist()} == expected
