"""What a network learns from a graph, against the official code and against slow definitions."""

import numpy as np
import pytest

from s5_hf.dataset_builders.road_graph import RoadGraph
from s5_hf.roads.labels import PiecedGraph, find_crossings, near_box, road_rasters, subdivide
from s5_hf.roads.sampling import PairSettings, label_pairs, quarter_turns, sample_pairs, space_points
from tests.parity.roads_fixtures import arrays, settings


def fixture():
    return {name: tensor.numpy() for name, tensor in arrays("labels").items()}


def official_graph():
    return RoadGraph(fixture()["graph_nodes_row_col"][:, ::-1], fixture()["graph_edges"])


def official_pieces():
    """The pieces in the official order of points, with what this package says of them."""
    found, known = PiecedGraph.of(official_graph()), fixture()
    points = known["subdivided_points_xy"]
    order = np.abs(points[:, None] - found.points[None]).sum(axis=2).argmin(axis=1)
    np.testing.assert_allclose(found.points[order], points, atol=1e-9)
    flags = (found.is_keypoint[order], found.is_excluded[order], found.is_interesting[order])
    return PiecedGraph(points, known["subdivided_edges"], *flags)


def test_rasters_are_those_of_the_official_code():
    known, graph = fixture(), official_graph()
    rasters = road_rasters(graph, (0, 0, 2048, 2048))
    keypoints, roads = (
        np.unpackbits(known[f"{name}_mask_bits"]).reshape(2048, 2048).astype(bool) for name in ("keypoint", "road")
    )
    assert (rasters[0] == keypoints).all()
    assert (rasters[1] & roads).sum() / (rasters[1] | roads).sum() > 0.98  # OpenCV rounds lines in its own way
    assert (road_rasters(graph, (40, 30, 200, 300)) == rasters[:, 30:300, 40:200]).all()


def test_pieces_and_what_is_said_of_their_points():
    known, pieced = fixture(), official_pieces()
    assert np.flatnonzero(pieced.is_excluded).tolist() == known["excluded_point_ids"].tolist()
    assert (pieced.is_keypoint == known["point_is_forced_keypoint"]).all()
    assert (pieced.is_interesting == (known["sample_weights"] > 0.5)).all()
    points, pieces = subdivide(official_graph().nodes, official_graph().edges)
    own = {tuple(sorted(map(tuple, points[piece].round(6).tolist()))) for piece in pieces}
    official = {tuple(sorted(map(tuple, pieced.points[piece].round(6).tolist()))) for piece in pieced.pieces}
    assert own == official
    crossings = find_crossings(official_graph().nodes, official_graph().edges)
    np.testing.assert_allclose(np.sort(crossings, axis=0), np.sort(known["crossover_points_xy"], axis=0), atol=1e-9)


@pytest.mark.parametrize("patch", range(4))
def test_pairs_of_recorded_draws(patch):
    known, told, pieced = fixture(), settings("labels"), official_pieces()
    of_patch = {name.split("/")[1]: array for name, array in known.items() if name.startswith(f"patch{patch}/")}
    scores = of_patch["nms_score_per_subdivided_point"]
    candidates = np.flatnonzero(~np.isnan(scores))
    kept = candidates[space_points(pieced.points[candidates], scores[candidates], told["nms_radius"])]
    official = of_patch["kept_point_ids"]
    random = scores[official] <= 1  # the official order of those that tie is that of an unstable sort
    assert kept[scores[kept] <= 1].tolist() == official[random].tolist()
    assert set(kept[scores[kept] > 1].tolist()) == set(official[~random].tolist())
    chosen = PairSettings(told["sources"], told["max_neighbours"], told["neighbour_radius"])
    pairs, connected, valid = label_pairs(pieced, official, of_patch["sampled_sources"], chosen)
    assert (pairs == of_patch["pairs"]).all()
    assert (connected == of_patch["connected"]).all()
    assert (valid == of_patch["valid"]).all()
    *box, turns = of_patch["box_and_rotation"].tolist()
    points = quarter_turns(pieced.points[official] - box[:2], turns, told["patch_size"])
    np.testing.assert_allclose(points, of_patch["points_xy"], atol=1e-9)


def test_an_empty_crop_is_one_point_and_no_valid_pair():
    known = fixture()
    box = tuple(known["patch4/box_and_rotation"].tolist()[:4])
    sampled = sample_pairs(official_graph(), box, PairSettings(12, 6), np.random.default_rng(0), turns=1)
    assert sampled.points.tolist() == known["patch4/points_xy"].tolist() == [[0, 0]]
    assert (sampled.pairs == known["patch4/pairs"]).all()
    assert not sampled.valid.any() and not sampled.connected.any()


def test_points_of_a_crop_do_not_depend_on_roads_far_away():
    graph, box = official_graph(), (64, 40, 192, 168)
    near, degrees = near_box(graph, box, 20)
    assert len(near.nodes) < len(graph.nodes)
    assert sorted(map(tuple, near.nodes[degrees != 2].tolist())) == sorted(
        node for node, degree in zip(map(tuple, graph.nodes.tolist()), graph.degrees(), strict=True)
        if degree != 2 and node in set(map(tuple, near.nodes.tolist()))
    )  # fmt: skip
    sampled = sample_pairs(graph, box, PairSettings(40, 6), np.random.default_rng(3))
    assert ((sampled.points >= 0) & (sampled.points <= 128)).all()
    distances = np.linalg.norm(sampled.points[:, None] - sampled.points[None], axis=2)
    lengths = distances[sampled.pairs[..., 0], sampled.pairs[..., 1]]
    assert (lengths[sampled.valid] < 64).all() and sampled.connected.any()
    assert not (sampled.connected & ~sampled.valid).any()
    again = sample_pairs(graph, box, PairSettings(40, 6), np.random.default_rng(3), turns=1)
    np.testing.assert_allclose(again.points, quarter_turns(sampled.points, 1, 128), atol=1e-4)


def test_a_turned_point_lies_on_the_turned_pixel():
    image = np.arange(64).reshape(8, 8)
    points = np.array([[2.5, 6.5], [0.5, 0.5], [7.5, 3.5]])
    for turns in range(5):
        turned = quarter_turns(points, turns, 8)
        (x, y), (turned_x, turned_y) = points.T.astype(int), turned.T.astype(int)
        assert (np.rot90(image, turns)[turned_y, turned_x] == image[y, x]).all()
