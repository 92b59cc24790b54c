"""The decisions of road graphs against the official code of SAM-Road++, exactly: candidates, nodes, pairs, graph."""

import numpy as np
import pytest
import torch
from transformers import SamVisionConfig

from s5_hf.conversion.samroad_layout import samroad_name
from s5_hf.modeling import SamRoadConfig, SamRoadForRoadGraph
from s5_hf.roads.pair_votes import PairVotes, neighbor_pairs, points_in_window
from s5_hf.roads.road_nodes import NodeFinder, NodeSettings, released_road_nodes, road_nodes
from s5_hf.scenes.blended_rows import BlendedRows
from s5_hf.scenes.window_batches import NewRows, WindowBatch
from s5_hf.scenes.window_grid import WindowGrid
from tests.parity.roads_fixtures import arrays, settings, weights

ABOUT = settings("inference")
CONFIG = ABOUT["config"]
SETTINGS = NodeSettings(
    CONFIG["ITSC_THRESHOLD"], CONFIG["ROAD_THRESHOLD"], CONFIG["ITSC_NMS_RADIUS"], CONFIG["ROAD_NMS_RADIUS"]
)


@pytest.fixture(scope="module")
def official():
    return {name: tensor.numpy() for name, tensor in arrays("inference").items()}


@pytest.fixture(scope="module")
def model():
    """The topology network of the fixture; its encoder takes no part."""
    vision = SamVisionConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, mlp_dim=8, image_size=128, global_attn_indexes=[]
    )
    made = SamRoadForRoadGraph(SamRoadConfig(vision, point_sampling="released")).eval()
    official = weights()
    state = {name: official[samroad_name(f"topology.{name}")] for name in made.topology.state_dict()}
    made.topology.load_state_dict(state)
    return made


def window_scores(official, number):
    """Scores of a window, float32 (2, height, width)."""
    left, top, right, bottom = official["window_xyxy"][number]
    level = official["base_level"][top:bottom, left:right].astype(np.float32) / 4096
    return (level * official["window_gains"][number]).transpose(2, 0, 1)


def test_scores_of_windows_become_those_of_the_scene(official):
    """The windows of the release leave a margin: a scene within it, blended as in this package, without weights."""
    starts = sorted(set(official["window_xyxy"][:, 1].tolist()))
    margin, side = starts[0], CONFIG["PATCH_SIZE"]
    grid = WindowGrid(tuple(start - margin for start in starts), tuple(start - margin for start in starts), side, side)
    size = grid.tops[-1] + side
    rows = BlendedRows(grid, (size, size), 2, "flat", "cpu")
    rows.note_rows(NewRows(0, np.zeros((3, size, size), dtype=np.uint8), None))
    fused = np.zeros((2, size, size), dtype=np.uint8)
    for index in range(len(grid)):
        row, column = divmod(index, 3)
        scores = torch.from_numpy(window_scores(official, 3 * column + row))  # the release goes down columns
        for piece in rows.add(WindowBatch([index], None, index), [scores]):
            stop = piece.top + piece.probabilities.shape[1]
            # A mean that is a multiple of 1/255 is cut off by its last bit, which depends on the order of the sum.
            fused[:, piece.top : stop] = (piece.probabilities * 255 + 1e-4).numpy()
    place = slice(margin, margin + size)
    np.testing.assert_array_equal(fused[0], official["fused_keypoint"][place, place])
    np.testing.assert_array_equal(fused[1], official["fused_road"][place, place])


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


def test_pairs_of_the_windows_their_scores_and_the_graph(official, model, monkeypatch):
    # The feature maps of the fixture are smaller than those of an encoder.
    side = official["window_embeddings_int8"].shape[-1]
    monkeypatch.setattr("s5_hf.modeling.modeling_samroad.STRIDE", CONFIG["PATCH_SIZE"] // side)
    nodes = np.ascontiguousarray(official["nodes_row_col"][:, ::-1])
    votes = PairVotes(CONFIG["TOPO_THRESHOLD"])
    for number, window in enumerate(official["window_xyxy"]):
        inside = points_in_window(nodes, tuple(window))
        points = nodes[inside] - window[:2]
        neighbours, valid = neighbor_pairs(points, CONFIG["MAX_NEIGHBOR_QUERIES"], CONFIG["NEIGHBOR_RADIUS"])
        sources = np.broadcast_to(np.arange(len(points))[:, None], neighbours.shape)
        scores = model.predict_connections(
            torch.from_numpy(official["window_embeddings_int8"][number]).float()[None] / 8,
            torch.from_numpy(window_scores(official, number))[None],
            torch.from_numpy(points).float()[None],
            torch.from_numpy(np.stack([sources, neighbours], axis=-1))[None],
            torch.from_numpy(valid)[None],
        )[0].numpy()
        source, place = np.nonzero(valid)
        votes.add(np.stack([inside[source], inside[neighbours[source, place]]], axis=1), scores[source, place])
    pairs, means, windows = votes.means()
    order = np.lexsort(official["scored_pairs"].T[::-1])
    np.testing.assert_array_equal(pairs, official["scored_pairs"][order])
    np.testing.assert_array_equal(windows, official["scored_pair_windows"][order])
    np.testing.assert_allclose(means, official["scored_pair_mean"][order], rtol=1e-4, atol=1e-5)
    edges, _ = votes.take_edges()
    places = {tuple(node): number for number, node in enumerate(official["nodes_row_col"].tolist())}
    expected = {
        tuple(sorted((places[tuple(node)], places[tuple(other)])))
        for node, others in ABOUT["adjacency"]
        for other in others
    }
    assert {tuple(edge) for edge in edges.tolist()} == expected
