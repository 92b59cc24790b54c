"""Shares of boxes inside a window, against shapely's polygons."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s5_hf.imaging.polygon_clipping import clip_polygon, inside_shares, polygon_area
from s5_hf.imaging.windows import Window

WINDOW = Window(10, 20, 110, 90)


def rotated_box(center_x, center_y, width, height, angle):
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return corners @ turn.T + (center_x, center_y)


@given(
    st.floats(-50, 200),
    st.floats(-50, 200),
    st.floats(1, 150),
    st.floats(1, 150),
    st.floats(-np.pi, np.pi),
)
def test_shares_of_rotated_boxes_are_shapelys(center_x, center_y, width, height, angle):
    geometry = pytest.importorskip("shapely.geometry")
    box = rotated_box(center_x, center_y, width, height, angle)
    expected = geometry.Polygon(box).intersection(geometry.box(*WINDOW)).area / (width * height)
    assert inside_shares(box[None], WINDOW)[0] == pytest.approx(expected, abs=1e-9)


def test_shares_of_concave_polygons_are_shapelys():
    geometry = pytest.importorskip("shapely.geometry")
    arrow = np.array([[0.0, 0.0], [60.0, 50.0], [0.0, 100.0], [20.0, 50.0]])
    whole = geometry.Polygon(arrow)
    expected = whole.intersection(geometry.box(*WINDOW)).area / whole.area
    assert 0.3 < expected < 0.9
    assert inside_shares(arrow[None], WINDOW)[0] == pytest.approx(expected, abs=1e-12)


def test_shares_by_hand():
    inside = [[20, 30], [30, 30], [30, 40], [20, 40]]
    half = [[0, 30], [20, 30], [20, 40], [0, 40]]
    touching = [[0, 30], [10, 30], [10, 40], [0, 40]]
    around = [[0, 0], [200, 0], [200, 200], [0, 200]]
    shares = inside_shares(np.array([inside, half, touching, around]), WINDOW)
    assert shares.tolist() == [1.0, 0.5, 0.0, 100 * 70 / 40000]
    assert inside_shares(np.zeros((0, 4, 2)), WINDOW).shape == (0,)


def test_a_box_without_area_is_inside_when_its_corners_are():
    inside, outside = [[50, 50]] * 4, [[5, 50], [200, 50], [5, 50], [200, 50]]
    assert inside_shares(np.array([inside, outside]), WINDOW).tolist() == [1.0, 0.0]


def test_clipped_corners():
    clipped = clip_polygon(np.array([[0.0, 30.0], [20.0, 30.0], [20.0, 40.0], [0.0, 40.0]]), WINDOW)
    assert {tuple(corner) for corner in clipped} == {(10, 30), (20, 30), (20, 40), (10, 40)}
    assert polygon_area(clipped) == 100
    assert polygon_area(np.array([[0, 0], [1, 1]])) == 0
