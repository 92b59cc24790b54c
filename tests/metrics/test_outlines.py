"""Scores of outlines against sums over vertices and pixels, written out."""

import math
from itertools import pairwise

import numpy as np
import pytest

from s5_hf.metrics import OutlineCounts, compare_outlines
from s5_hf.metrics.outlines import boundary_iou, polis, vertex_count

shapely = pytest.importorskip("shapely")

SQUARE = shapely.box(10, 10, 30, 30)


def random_polygon(seed):
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * math.pi, 9))
    return shapely.Polygon(np.stack([np.cos(angles), np.sin(angles)], 1) * random.uniform(12, 20, (9, 1)) + 24)


def to_segment(point, begin, end):
    step = np.subtract(end, begin)
    share = np.clip(np.dot(np.subtract(point, begin), step) / np.dot(step, step), 0, 1)
    return np.linalg.norm(np.add(begin, share * step) - point)


def polis_by_hand(one, other):
    def mean(vertices, ring):
        return np.mean([min(to_segment(p, *side) for side in pairwise(ring)) for p in vertices])

    ours, theirs = list(one.exterior.coords), list(other.exterior.coords)
    return (mean(ours[:-1], theirs) + mean(theirs[:-1], ours)) / 2


@pytest.mark.parametrize("seed", range(5))
def test_polis_is_the_mean_distance_of_vertices(seed):
    one, other = random_polygon(seed), random_polygon(seed + 10)
    assert polis(one, other) == pytest.approx(polis_by_hand(one, other), abs=1e-9)
    assert polis(one, other) == polis(other, one) and polis(one, one) == 0
    moved = shapely.transform(SQUARE, lambda places: places + 3)
    assert polis(SQUARE, moved) == pytest.approx((3 * math.sqrt(2) + 3 + 3 + 3) / 4, rel=0.2)


def test_boundary_iou_is_that_of_fine_pixels():
    one, other = random_polygon(1), random_polygon(2)
    ticks = np.arange(0, 48, 0.1) + 0.05
    points = shapely.points(np.stack(np.meshgrid(ticks, ticks), -1))
    near = [
        shapely.contains(polygon, points) & (shapely.distance(points, polygon.boundary) <= 2.0)
        for polygon in (one, other)
    ]
    expected = (near[0] & near[1]).sum() / (near[0] | near[1]).sum()
    assert boundary_iou(one, other, 2.0) == pytest.approx(expected, abs=0.01)


def test_vertices_of_all_rings_count_once():
    holed = shapely.Polygon(SQUARE.exterior.coords, [[(12, 12), (20, 12), (12, 20)]])
    assert vertex_count(SQUARE) == 4 and vertex_count(holed) == 7
    assert vertex_count(shapely.MultiPolygon([SQUARE, shapely.box(40, 40, 50, 50)])) == 8


def test_panoptic_quality_by_hand():
    wide = shapely.box(10, 10, 35, 30)  # IoU 0.8 with the square
    far, lost = shapely.box(50, 50, 60, 60), shapely.box(70, 70, 90, 90)
    counts = compare_outlines([SQUARE, lost], [far, wide], (100, 100))
    assert (counts.pairs, counts.missed, counts.invented) == (1, 1, 1)
    scores = counts.scores()
    assert scores["segmentation_quality"] == pytest.approx(0.8)
    assert scores["recognition_quality"] == 0.5 and scores["panoptic_quality"] == pytest.approx(0.4)
    assert scores["vertex_ratio"] == 1 and scores["vertex_iou"] == pytest.approx(0.8)
    assert scores["polis"] == pytest.approx(1.25)  # two of eight vertices are 5 px off
    twice = (counts + counts).scores()
    assert twice == pytest.approx(scores)


def test_half_an_overlap_is_no_pair():
    half = shapely.box(10, 10, 20, 30)
    assert compare_outlines([SQUARE], [half], (100, 100)).pairs == 0
    more = compare_outlines([SQUARE], [shapely.box(10, 10, 20.1, 30)], (100, 100))
    assert more.pairs == 1


def test_more_vertices_cost_vertex_iou():
    dense = shapely.Polygon(np.array(shapely.segmentize(SQUARE, 5).exterior.coords))
    scores = compare_outlines([SQUARE], [dense], (64, 64)).scores()
    assert scores["vertex_iou"] == pytest.approx(1 - 12 / 20) and scores["vertex_ratio"] == 4
    assert scores["polis"] == 0 and scores["boundary_iou"] == pytest.approx(1)


def test_nothing_gives_nothing_and_wrong_polygons_are_named():
    assert all(math.isnan(value) for value in compare_outlines([], [], (9, 9)).scores().values())
    assert compare_outlines([SQUARE], [], (64, 64)) == OutlineCounts(missed=1)
    assert compare_outlines([SQUARE], [], (64, 64)).scores()["panoptic_quality"] == 0
    bow = shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])
    with pytest.raises(ValueError, match="polygon 1 of the prediction is not valid: Self-intersection"):
        compare_outlines([SQUARE], [SQUARE, bow], (64, 64))
    with pytest.raises(ValueError, match="polygon 0 of the reference is not valid: a LineString"):
        compare_outlines([shapely.LineString([(0, 0), (1, 1)])], [], (64, 64))
