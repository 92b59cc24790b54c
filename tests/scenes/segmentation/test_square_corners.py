"""Outlines with right angles: what becomes square, what stays, and how far anything moves."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

shapely = pytest.importorskip("shapely", reason="polygons need shapely (the extra geo)")
pytest.importorskip("rasterio", reason="polygons need rasterio (the extra geo)")

from s5_hf.scenes.segmentation.polygons import band_regions, write_polygons  # noqa: E402 - needs the packages
from s5_hf.scenes.segmentation.scene_result import MapProducts  # noqa: E402 - needs the packages
from s5_hf.scenes.segmentation.square_corners import squared_outline  # noqa: E402


def burnt(polygon, size=120):
    """The outline of the pixels whose centres lie in a polygon, the largest part."""
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    ids = shapely.contains_xy(polygon, x, y).astype(np.int32)
    regions = [region.outline for region in band_regions(ids, 0, ids > 0)]
    return max(regions, key=lambda outline: outline.area)


def turned(polygon, degrees):
    angle = math.radians(degrees)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return shapely.transform(polygon, lambda points: (points - 60) @ matrix.T + 60)


def angles_of(polygon):
    """Interior angles in degrees, 0..180."""
    points = np.asarray(polygon.exterior.coords)[:-1]
    before, after = np.roll(points, 1, axis=0) - points, np.roll(points, -1, axis=0) - points
    cosine = (before * after).sum(1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    return np.degrees(np.arccos(cosine.clip(-1, 1)))


def overlap(one, other):
    return one.intersection(other).area / one.union(other).area


@pytest.mark.parametrize("corners", [(20, 30, 90, 70), (5, 5, 15, 12), (40, 40, 46, 60)])
def test_a_rectangle_along_the_pixels_stays_itself(corners):
    rectangle = shapely.box(*corners)
    assert squared_outline(rectangle).equals(rectangle)
    assert len(squared_outline(shapely.segmentize(rectangle, 1.0)).exterior.coords) == 5


@settings(max_examples=40, deadline=None)
@given(
    degrees=st.floats(0, 90),
    width=st.floats(14, 60),
    height=st.floats(14, 60),
    shift=st.floats(0, 1, exclude_max=True),
)
def test_a_turned_rectangle_with_steps_gets_four_right_angles(degrees, width, height, shift):
    real = turned(
        shapely.box(60 - width / 2 + shift, 60 - height / 2, 60 + width / 2 + shift, 60 + height / 2), degrees
    )
    found = squared_outline(burnt(real))
    assert found is not None
    assert len(found.exterior.coords) == 5
    np.testing.assert_allclose(angles_of(found), 90, atol=1e-6)
    assert overlap(found, real) > 0.85


@pytest.mark.parametrize("degrees", [0, 17, 30, 45, 71])
def test_an_l_with_a_courtyard(degrees):
    shape = shapely.box(20, 20, 100, 60).union(shapely.box(20, 20, 55, 100)).difference(shapely.box(30, 30, 45, 48))
    real = turned(shape, degrees)
    found = squared_outline(burnt(real))
    assert len(found.exterior.coords) == 7 and len(found.interiors) == 1 and len(found.interiors[0].coords) == 5
    np.testing.assert_allclose(np.minimum(angles_of(found), 180 - angles_of(found)), 90, atol=1e-6)
    assert overlap(found, real) > 0.95


def test_a_slanted_wall_of_a_square_house_stays_slanted():
    real = shapely.Polygon([(20, 20), (90, 20), (90, 60), (60, 95), (20, 95)])
    found = squared_outline(burnt(real))
    assert len(found.exterior.coords) == 6
    assert sorted(angles_of(found).round().tolist())[:3] == [90, 90, 90]
    assert overlap(found, real) > 0.97


def test_what_has_no_direction_is_left_alone():
    assert squared_outline(burnt(shapely.Point(60, 60).buffer(35))) is None
    generator = np.random.default_rng(0)
    ring = [
        (60 + r * math.cos(a), 60 + r * math.sin(a))
        for a, r in zip(np.linspace(0, 6.2, 14), generator.uniform(15, 50, 14), strict=True)
    ]
    assert squared_outline(burnt(shapely.Polygon(ring).buffer(0))) is None


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_comes_out_is_valid_and_near(seed):
    generator = np.random.default_rng(seed)
    blocks = [
        shapely.box(x, y, x + w, y + h)
        for x, y, w, h in np.concatenate([generator.uniform(20, 70, (5, 2)), generator.uniform(4, 30, (5, 2))], axis=1)
    ]
    outline = burnt(turned(shapely.union_all(blocks), float(generator.uniform(0, 90))))
    found = squared_outline(outline)
    if found is not None:
        assert found.is_valid and found.geom_type == "Polygon"
        assert found.symmetric_difference(outline).area <= 0.75 * outline.length
        assert overlap(found, outline) > 0.6
        assert len(found.exterior.coords) <= len(outline.exterior.coords)


def test_angles_are_right_on_the_ground():
    """Pixels that are half as wide as high: a square on the ground is a narrow shape of pixels."""
    real = turned(shapely.box(35, 35, 85, 85), 30)
    narrow = shapely.transform(real, lambda points: points * [2.0, 1.0])
    found = squared_outline(burnt(narrow, 240), aspect=0.5)
    ground = shapely.transform(found, lambda points: points * [0.5, 1.0])
    np.testing.assert_allclose(angles_of(ground), 90, atol=1e-6)
    assert overlap(ground, real) > 0.95


def test_polygons_of_a_map(tmp_path):
    """A turned house and a pond: the house gets four corners, the pond keeps its outline; areas are of the pixels."""
    from PIL import Image

    x, y = np.meshgrid(np.arange(120) + 0.5, np.arange(120) + 0.5)
    house = shapely.contains_xy(turned(shapely.box(20, 30, 60, 55), 25), x, y)
    pond = shapely.contains_xy(shapely.Point(90, 90).buffer(20), x, y)
    Image.fromarray(np.where(house, 1, np.where(pond, 2, 0)).astype(np.uint8)).save(tmp_path / "map.png")
    found = {}
    for square in (False, True):
        path = tmp_path / f"{square}.geojson"
        write_polygons(tmp_path / "map.png", path, classes=[1, 2], square_corners=square)
        for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
            found[square, feature["properties"]["class_id"]] = feature
    assert len(found[True, 1]["geometry"]["coordinates"][0]) == 5 < len(found[False, 1]["geometry"]["coordinates"][0])
    assert found[True, 1]["properties"] == found[False, 1]["properties"]
    assert found[True, 2] == found[False, 2]
    with pytest.raises(ValueError, match="simplify must be above 0"):
        write_polygons(tmp_path / "map.png", path, simplify=0, square_corners=True)


def test_square_corners_need_polygons():
    with pytest.raises(ValueError, match="square corners are for polygons"):
        MapProducts(square_corners=True)
    with pytest.raises(ValueError, match="simplify must be above 0"):
        MapProducts(polygons=".gpkg", square_corners=True, simplify=0)
