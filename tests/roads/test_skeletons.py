"""Masks thinned to graphs: the middle of a band, junctions, bumps, and what is refused."""

import numpy as np
import pytest

from s5_hf.roads.skeletons import pixel_graph, skeleton_graph

pytest.importorskip("skimage")


def bands() -> np.ndarray:
    """A road from left to right with a side road, and a bump of a few pixels."""
    mask = np.zeros((80, 120), dtype=bool)
    mask[37:44, 4:116] = True
    mask[40:76, 57:64] = True
    mask[33:37, 90:93] = True
    return mask


def test_a_crossing_of_bands_is_three_lines():
    graph = skeleton_graph(bands())
    degrees = graph.degrees()
    assert sorted(degrees[degrees != 2].tolist()) == [1, 1, 1, 3]
    junction = graph.nodes[degrees == 3][0]
    assert np.abs(junction - (60.5, 40.5)).max() <= 3
    assert graph.lengths().sum() == pytest.approx(112 + 36, abs=14)
    straight = graph.nodes[(graph.nodes[:, 0] < 50) | (graph.nodes[:, 0] > 70)]
    assert np.abs(straight[:, 1] - 40.5).max() <= 2.5


def test_a_bump_leaves_no_stub_unless_one_asks_for_it():
    mask = bands()
    mask[20:37, 90:93] = True
    long, short = skeleton_graph(mask, shortest_stub=5.0), skeleton_graph(mask, shortest_stub=40.0)
    assert (long.degrees() == 3).sum() == 2
    assert (short.degrees() == 3).sum() < 2


def test_steps_around_a_corner_are_not_cut():
    skeleton = np.zeros((3, 3), dtype=bool)
    skeleton[0, 0] = skeleton[0, 1] = skeleton[1, 1] = skeleton[2, 2] = True
    graph = pixel_graph(skeleton)
    assert graph.nodes.tolist() == [[0.5, 0.5], [1.5, 0.5], [1.5, 1.5], [2.5, 2.5]]
    assert sorted(map(tuple, np.sort(graph.edges, axis=1).tolist())) == [(0, 1), (1, 2), (2, 3)]


def test_an_empty_mask_is_an_empty_graph_and_other_masks_are_refused():
    assert len(skeleton_graph(np.zeros((8, 8), dtype=bool)).nodes) == 0
    with pytest.raises(ValueError, match=r"the road mask is uint8 \(8, 8\), expected bool"):
        skeleton_graph(np.zeros((8, 8), dtype=np.uint8))
