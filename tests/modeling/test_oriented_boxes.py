"""Oriented boxes: corners, canonical form, other conventions, flips and turns, bad input."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from s5_hf.dataset_builders.oriented_geometry import boxes_to_polygons, polygons_to_boxes
from s5_hf.imaging.drawing import oriented_box_corners
from s5_hf.modeling import oriented_boxes as boxes_module
from s5_hf.modeling.oriented_boxes import (
    canonical_boxes,
    check_oriented_boxes,
    check_polygons,
    corners_to_oriented_boxes,
    dota_to_oriented_boxes,
    flip_boxes_horizontally,
    flip_boxes_vertically,
    horizontal_to_oriented_boxes,
    long_edge_90_to_oriented_boxes,
    minimum_area_rectangles,
    negate_theta,
    opencv_to_oriented_boxes,
    oriented_boxes_from_degrees,
    oriented_boxes_to_corners,
    oriented_boxes_to_dota,
    oriented_boxes_to_horizontal,
    oriented_boxes_to_long_edge_90,
    oriented_boxes_to_negative_opencv,
    oriented_boxes_to_opencv,
    oriented_boxes_to_yolo,
    rotate_boxes,
    wrap_theta,
    yolo_to_oriented_boxes,
)

BOX = st.tuples(
    st.floats(-200, 200), st.floats(-200, 200), st.floats(0.5, 90), st.floats(0.5, 90), st.floats(-6.2, 6.2)
).map(lambda values: torch.tensor([values], dtype=torch.float64))


def random_boxes(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 5, generator=generator, dtype=torch.float64)
    scale = torch.tensor([800, 600, 90, 60, 2 * math.pi])
    return unit * scale + torch.tensor([0, 0, 1, 1, -math.pi])


def assert_same_rectangles(actual: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
    """The corners are the same sets of points: whatever side is called w, and whatever half turn theta holds."""
    distances = torch.cdist(oriented_boxes_to_corners(actual), oriented_boxes_to_corners(expected))
    assert distances.amin(dim=-1).max() < tolerance
    assert distances.amin(dim=-2).max() < tolerance


def test_corners_start_top_left_and_go_clockwise() -> None:
    corners = oriented_boxes_to_corners(torch.tensor([10.0, 20.0, 8.0, 4.0, 0.0]))
    assert corners.tolist() == [[6, 18], [14, 18], [14, 22], [6, 22]]


def test_positive_theta_turns_clockwise_on_the_screen() -> None:
    corners = oriented_boxes_to_corners(torch.tensor([0.0, 0.0, 8.0, 4.0, math.pi / 2], dtype=torch.float64))
    # The w side, from the first corner to the second, now points down.
    expected = torch.tensor([[2, -4], [2, 4], [-2, 4], [-2, -4]], dtype=torch.float64)
    torch.testing.assert_close(corners, expected)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1, 2, 6, 4, 0.5), (1, 2, 6, 4, 0.5)),
        ((1, 2, 4, 6, 0.5), (1, 2, 6, 4, 0.5 - math.pi / 2)),
        ((1, 2, 4, 6, 0.0), (1, 2, 6, 4, math.pi / 2)),
        ((1, 2, 5, 5, 0.25), (1, 2, 5, 5, 0.25 - math.pi / 2)),  # squares swap too, as in the official release
        ((1, 2, 6, 4, -math.pi / 2), (1, 2, 6, 4, math.pi / 2)),
        ((1, 2, 6, 4, math.pi / 2), (1, 2, 6, 4, math.pi / 2)),
        ((1, 2, 6, 4, math.pi + 0.25), (1, 2, 6, 4, 0.25)),
        ((1, 2, 6, 4, -3 * math.pi + 0.25), (1, 2, 6, 4, 0.25)),
    ],
)
def test_canonical_boxes(box: tuple, expected: tuple) -> None:
    actual = canonical_boxes(torch.tensor(box, dtype=torch.float64))
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_canonical_boxes_keep_their_form_bit_by_bit(dtype: torch.dtype) -> None:
    boxes = random_boxes(2000).to(dtype)
    boxes[:9, 4] = torch.arange(-4, 5) * math.pi / 2
    canonical = canonical_boxes(boxes)
    assert (canonical[:, 2] >= canonical[:, 3]).all()
    assert (canonical[:, 4] > -math.pi / 2).all()
    assert (canonical[:, 4] <= torch.tensor(math.pi / 2, dtype=dtype)).all()
    oblong = canonical[canonical[:, 2] > canonical[:, 3]]
    assert torch.equal(canonical_boxes(oblong), oblong)


@given(BOX)
@settings(max_examples=60, deadline=None)
def test_canonical_boxes_are_the_same_rectangles(box: Tensor) -> None:
    assert_same_rectangles(canonical_boxes(box), box)


@given(BOX)
@settings(max_examples=60, deadline=None)
def test_corners_and_back(box: Tensor) -> None:
    actual = corners_to_oriented_boxes(oriented_boxes_to_corners(box))
    assert_same_rectangles(actual, box)
    assert_same_rectangles(minimum_area_rectangles(oriented_boxes_to_corners(box)), box)
    assert actual[0, 2] >= actual[0, 3]


def test_minimum_area_rectangles_are_smallest() -> None:
    polygons = torch.rand(50, 4, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 100
    found = minimum_area_rectangles(polygons)
    areas = found[:, 2] * found[:, 3]

    # The reference tries many directions; its best can only come close from above.
    angles = torch.linspace(0, math.pi / 2, 20_001, dtype=torch.float64)
    axes = torch.stack([angles.cos(), angles.sin()]), torch.stack([-angles.sin(), angles.cos()])
    x, y = (polygons @ axis for axis in axes)  # [50, 4, angles]
    tried = ((x.amax(1) - x.amin(1)) * (y.amax(1) - y.amin(1))).amin(-1)
    assert (areas <= tried + 1e-9).all()
    torch.testing.assert_close(areas, tried, rtol=2e-3, atol=0)

    # Every point lies inside.
    offsets = polygons - found[:, None, :2]
    along = torch.stack([found[:, 4].cos(), found[:, 4].sin()], dim=-1)[:, None]
    across = torch.stack([-found[:, 4].sin(), found[:, 4].cos()], dim=-1)[:, None]
    assert ((offsets * along).sum(-1).abs() <= found[:, 2:3] / 2 + 1e-9).all()
    assert ((offsets * across).sum(-1).abs() <= found[:, 3:4] / 2 + 1e-9).all()


def test_minimum_area_rectangles_equal_opencv() -> None:
    cv2 = pytest.importorskip("cv2", reason="compares with OpenCV, which is not installed")
    generator = torch.Generator().manual_seed(4)

    def opencv(polygons: Tensor) -> Tensor:
        rectangles = [cv2.minAreaRect(polygon.numpy()) for polygon in polygons]
        return opencv_to_oriented_boxes(
            torch.tensor([[*centre, *sides, angle] for centre, sides, angle in rectangles], dtype=torch.float32)
        )

    boxes = random_boxes(300).float()
    rectangles = oriented_boxes_to_corners(boxes)
    assert_same_rectangles(opencv(rectangles), boxes, tolerance=1e-2)
    assert_same_rectangles(minimum_area_rectangles(rectangles), boxes, tolerance=1e-2)

    # For other polygons two rectangles are often equally small (always for triangles), and either may be found.
    drawn = rectangles + torch.rand(300, 4, 2, generator=generator)
    anything = torch.rand(300, 4, 2, generator=generator) * 100
    for polygons in (drawn, anything):
        areas = [found[:, 2] * found[:, 3] for found in (minimum_area_rectangles(polygons), opencv(polygons))]
        torch.testing.assert_close(*areas, rtol=1e-5, atol=1e-2)


def test_minimum_area_rectangles_of_flat_polygons() -> None:
    point, line = torch.full((4, 2), 7.0), torch.tensor([[0.0, 0.0], [3, 4], [6, 8], [3, 4]])
    assert minimum_area_rectangles(point)[:4].tolist() == [7, 7, 0, 0]
    torch.testing.assert_close(minimum_area_rectangles(line), torch.tensor([3, 4, 10, 0, math.atan2(4, 3)]))


@given(BOX)
@settings(max_examples=60, deadline=None)
def test_hulls_hold_the_corners_tightly(box: Tensor) -> None:
    corners = oriented_boxes_to_corners(box)
    hull = torch.cat([corners.amin(dim=-2), corners.amax(dim=-2)], dim=-1)
    torch.testing.assert_close(oriented_boxes_to_horizontal(box), hull, rtol=0, atol=1e-9)


def test_horizontal_boxes() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 4], [0, 0, 4, 10], [2, 2, 6, 6]])
    oriented = horizontal_to_oriented_boxes(boxes)
    expected = torch.tensor([[5, 2, 10, 4, 0], [2, 5, 10, 4, math.pi / 2], [4, 4, 4, 4, 0]])
    torch.testing.assert_close(oriented, expected)
    torch.testing.assert_close(oriented_boxes_to_horizontal(oriented), boxes)


def test_flips_mirror_the_corners() -> None:
    boxes = canonical_boxes(random_boxes(200))
    boxes[0, 4] = math.pi / 2
    for flip, axis, size in ((flip_boxes_horizontally, 0, 800.0), (flip_boxes_vertically, 1, 600.0)):
        flipped = flip(boxes, size)
        corners = oriented_boxes_to_corners(boxes)
        corners[..., axis] = size - corners[..., axis]
        distances = torch.cdist(oriented_boxes_to_corners(flipped), corners)
        assert distances.amin(dim=-1).max() < 1e-9
        assert flipped[0, 4] == math.pi / 2  # stays in the canonical range
        torch.testing.assert_close(flip(flipped, size), boxes)


def test_rotation_turns_the_corners() -> None:
    boxes, angle, center = random_boxes(200), 0.7, (300.0, 100.0)
    rotated = rotate_boxes(boxes, angle, center)
    matrix = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64
    )
    middle = torch.tensor(center, dtype=torch.float64)
    expected = (oriented_boxes_to_corners(boxes) - middle) @ matrix.T + middle
    assert torch.cdist(oriented_boxes_to_corners(rotated), expected).amin(dim=-1).max() < 1e-9
    # A quarter turn clockwise moves what is right of the centre below it.
    quarter = rotate_boxes(torch.tensor([[5.0, 0, 4, 2, 0]]), math.pi / 2, (0, 0))
    torch.testing.assert_close(quarter, torch.tensor([[0, 5, 4, 2, math.pi / 2]]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("to", "back"),
    [
        (oriented_boxes_to_dota, dota_to_oriented_boxes),
        (oriented_boxes_to_opencv, opencv_to_oriented_boxes),
        (oriented_boxes_to_negative_opencv, opencv_to_oriented_boxes),
        (oriented_boxes_to_long_edge_90, long_edge_90_to_oriented_boxes),
        (lambda boxes: oriented_boxes_to_yolo(boxes, 800, 600), lambda boxes: yolo_to_oriented_boxes(boxes, 800, 600)),
        (negate_theta, negate_theta),
    ],
)
def test_conventions_and_back(to, back) -> None:
    boxes = random_boxes(500)
    boxes[:9, 4] = torch.arange(-4, 5) * math.pi / 2
    assert_same_rectangles(back(to(boxes)), boxes, tolerance=1e-6)


def test_opencv_ranges() -> None:
    box = torch.tensor([[5.0, 6, 8, 4, 0], [5, 6, 8, 4, math.pi / 6], [5, 6, 8, 4, math.pi / 2]], dtype=torch.float64)
    positive = torch.tensor([[5.0, 6, 4, 8, 90], [5, 6, 8, 4, 30], [5, 6, 8, 4, 90]], dtype=torch.float64)
    negative = torch.tensor([[5.0, 6, 4, 8, -90], [5, 6, 4, 8, -60], [5, 6, 8, 4, -90]], dtype=torch.float64)
    torch.testing.assert_close(oriented_boxes_to_opencv(box), positive)
    torch.testing.assert_close(oriented_boxes_to_negative_opencv(box), negative)


def test_long_edge_90_range() -> None:
    boxes = random_boxes(500)
    boxes[:9, 4] = torch.arange(-4, 5) * math.pi / 2
    converted = oriented_boxes_to_long_edge_90(boxes)
    assert ((converted[:, 4] >= -math.pi / 2) & (converted[:, 4] < math.pi / 2)).all()
    assert (converted[:, 2] >= converted[:, 3]).all()
    assert_same_rectangles(converted, boxes)


def test_degrees_become_radians() -> None:
    torch.testing.assert_close(
        oriented_boxes_from_degrees(torch.tensor([[1.0, 2, 3, 4, 90]])), torch.tensor([[1, 2, 3, 4, math.pi / 2]])
    )


def test_wrapped_angles_near_the_ends_stay_in_range() -> None:
    ends = torch.tensor([math.pi / 2, -math.pi / 2, 3 * math.pi / 2, -3 * math.pi / 2])
    for dtype in (torch.float32, torch.float64):
        angles = torch.cat([ends.to(dtype), torch.nextafter(ends.to(dtype), ends.to(dtype) * 2)])
        wrapped = wrap_theta(angles)
        assert (wrapped.abs() <= torch.tensor(math.pi / 2, dtype=dtype)).all()


def test_degrees_are_warned_of_with_the_way_out() -> None:
    with pytest.warns(UserWarning, match=r"boxes\[1\].*90.*oriented_boxes_from_degrees"):
        check_oriented_boxes(torch.tensor([[0.0, 0, 1, 1, 6.2], [0, 0, 1, 1, 90]]))


@pytest.mark.parametrize(
    ("boxes", "error", "message"),
    [
        ([[0.0, 0, 1, 1, 0], [0, 0, -2, 1, 0]], ValueError, r"boxes\[1\] is \[0.0, 0.0, -2.0.*negative"),
        ([[0.0, 0, 1, math.nan, 0]], ValueError, r"boxes\[0\].*finite"),
        ([[[0.0, 0, 1, 1, 0], [0, math.inf, 1, 1, 0]]], ValueError, r"boxes\[0, 1\].*finite"),
        ([[0.0, 0, 1, 1]], ValueError, r"boxes must be \[..., 5\].*\(1, 4\)"),
        ([[0, 0, 1, 1, 0]], TypeError, "floating-point tensor, got torch.int64"),
    ],
)
def test_bad_boxes(boxes: list, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_oriented_boxes(torch.tensor(boxes))


def test_bad_polygons() -> None:
    with pytest.raises(ValueError, match="3 corners"):
        dota_to_oriented_boxes(torch.zeros(2, 6))
    with pytest.raises(ValueError, match="5 corners"):
        yolo_to_oriented_boxes(torch.zeros(2, 10), 10, 10)
    with pytest.raises(ValueError, match="polygons have 5 corners"):
        check_polygons(torch.zeros(2, 5, 2))
    polygons = torch.zeros(3, 8)
    polygons[1, 4] = math.nan
    with pytest.raises(ValueError, match=r"polygons\[1\].*finite"):
        dota_to_oriented_boxes(polygons)


@pytest.mark.parametrize("shape", [(5,), (0, 5), (2, 3, 5)])
def test_leading_dimensions(shape: tuple[int, ...]) -> None:
    boxes = torch.rand(shape) + 1
    assert oriented_boxes_to_corners(boxes).shape == (*shape[:-1], 4, 2)
    assert oriented_boxes_to_horizontal(boxes).shape == (*shape[:-1], 4)
    assert oriented_boxes_to_dota(boxes).shape == (*shape[:-1], 8)
    assert minimum_area_rectangles(oriented_boxes_to_corners(boxes)).shape == shape
    assert corners_to_oriented_boxes(oriented_boxes_to_corners(boxes)).shape == shape
    for convert in (canonical_boxes, oriented_boxes_to_opencv, oriented_boxes_to_long_edge_90):
        assert convert(boxes).shape == shape


def test_datasets_and_pictures_keep_the_same_convention() -> None:
    boxes = random_boxes(100)
    corners = oriented_boxes_to_corners(boxes)
    torch.testing.assert_close(torch.from_numpy(boxes_to_polygons(boxes.numpy())), corners.flatten(1))
    torch.testing.assert_close(torch.as_tensor(oriented_box_corners(boxes.numpy()), dtype=torch.float64), corners)
    read = torch.from_numpy(polygons_to_boxes(corners.flatten(1).numpy()))
    torch.testing.assert_close(read, minimum_area_rectangles(corners))


def test_everything_public_is_listed() -> None:
    functions = {
        name for name, value in vars(boxes_module).items() if getattr(value, "__module__", "") == boxes_module.__name__
    }
    assert {name for name in functions if not name.startswith("_")} == set(boxes_module.__all__)


@given(
    st.lists(st.integers(-500, 500), min_size=8, max_size=8),
    st.sampled_from([(), (0, 1, 2, 1, 2, 3, 0, 3), (0, 1, 0, 3, 2, 3, 2, 1)]),
)
@settings(max_examples=200, deadline=None)
def test_datasets_and_networks_turn_a_polygon_into_the_same_box(corners: list[int], upright: tuple[int, ...]) -> None:
    """Dataset builders and networks may not import each other, so each has the rule; upright boxes lie at its edge."""
    polygon = [corners[index] for index in upright] or corners
    of_networks = dota_to_oriented_boxes(torch.tensor(polygon, dtype=torch.float64)).numpy()
    of_datasets = polygons_to_boxes(np.array([polygon]))[0]
    # Where rounding decides which side of a square is longer, both answers are the same square.
    if np.isclose(*of_networks[2:4], rtol=1e-9, atol=1e-9):
        of_networks, of_datasets = of_networks[:4], of_datasets[:4]
    np.testing.assert_allclose(of_datasets, of_networks, rtol=1e-9, atol=1e-9)


def test_an_upright_box_has_one_angle_whichever_corner_comes_first() -> None:
    corners = [[0, 0], [2, 0], [2, 10], [0, 10]]
    for turn in range(4):
        for order in (1, -1):
            polygon = np.array((corners[turn:] + corners[:turn])[::order], dtype=np.float64).reshape(1, 8)
            assert polygons_to_boxes(polygon)[0].tolist() == [1, 5, 10, 2, math.pi / 2]
            assert dota_to_oriented_boxes(torch.from_numpy(polygon))[0].tolist() == [1, 5, 10, 2, math.pi / 2]
