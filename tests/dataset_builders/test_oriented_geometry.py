import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from s5_hf.dataset_builders.oriented_geometry import boxes_to_polygons, polygons_to_boxes

coordinates = st.floats(-1000, 1000, allow_nan=False)
boxes = st.tuples(coordinates, coordinates, st.floats(1, 500), st.floats(1, 500), st.floats(-7, 7))


@given(boxes)
def test_rectangles_come_back_exactly(box):
    found = polygons_to_boxes(boxes_to_polygons([box]))[0]
    assert found[2] >= found[3]
    assert -math.pi / 2 < found[4] <= math.pi / 2
    np.testing.assert_allclose(found[:2], box[:2], atol=1e-6)
    np.testing.assert_allclose(found[2:4], sorted(box[2:4], reverse=True), atol=1e-6)
    corners = boxes_to_polygons([found]).reshape(4, 2)
    wanted = boxes_to_polygons([box]).reshape(4, 2)
    distances = np.linalg.norm(corners[:, None] - wanted[None], axis=-1)
    assert distances.min(axis=0).max() < 1e-4


@given(st.lists(coordinates, min_size=8, max_size=8))
def test_boxes_hold_all_corners_and_no_smaller_angle_exists(polygon):
    box = polygons_to_boxes([polygon])[0]
    corners = np.array(polygon).reshape(4, 2)

    def sides(angle):
        axes = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        return np.ptp(corners @ axes.T, axis=0)

    offsets = corners - box[:2]
    axes = np.array([[math.cos(box[4]), math.sin(box[4])], [-math.sin(box[4]), math.cos(box[4])]])
    assert (np.abs(offsets @ axes.T) <= box[2:4] / 2 + 1e-6).all()
    smallest = min(np.prod(sides(angle)) for angle in np.linspace(0, math.pi, 181))
    assert box[2] * box[3] <= smallest * (1 + 1e-9) + 1e-6


def test_angle_convention():
    # A long box whose w axis points right and down on the screen has a positive angle.
    down_right = [0, 0, 10, 10, 9, 11, -1, 1]
    assert math.isclose(polygons_to_boxes([down_right])[0, 4], math.pi / 4)
    upright = [0, 0, 2, 0, 2, 10, 0, 10]
    np.testing.assert_allclose(polygons_to_boxes([upright])[0], [1, 5, 10, 2, math.pi / 2])
    np.testing.assert_allclose(polygons_to_boxes([upright[4:] + upright[:4]])[0], [1, 5, 10, 2, math.pi / 2])


def test_degenerate_polygons_have_an_empty_box():
    np.testing.assert_allclose(polygons_to_boxes([[3, 4] * 4]), [[3, 4, 0, 0, math.pi / 2]])
    line = polygons_to_boxes([[0, 0, 4, 0, 4, 0, 0, 0]])[0]
    np.testing.assert_allclose(line, [2, 0, 4, 0, 0])
    assert polygons_to_boxes(np.zeros((0, 8))).shape == (0, 5)
