"""Square metres of pixels, and tables of classes."""

import csv
import math

import numpy as np
import pytest

from s5_hf.scenes.segmentation.areas import AreaCounter, pixel_areas, write_areas


@pytest.fixture
def crs():
    return pytest.importorskip("rasterio.crs", reason="a CRS needs rasterio (the extra geo)").CRS.from_epsg


def origin(*arguments):
    from rasterio.transform import from_origin

    return from_origin(*arguments)


def test_projected_pixels_are_counted_in_metres(crs):
    assert pixel_areas(crs(32633), origin(0, 0, 0.5, 0.25), 3).tolist() == [0.125] * 3
    feet = pixel_areas(crs(2263), origin(0, 0, 10, 10), 2)  # New York in US survey feet
    assert feet == pytest.approx([100 * (1200 / 3937) ** 2] * 2)


def test_rotated_pixels_keep_their_area(crs):
    from affine import Affine

    assert pixel_areas(crs(32633), Affine.rotation(30) @ Affine.scale(2, -3), 2) == pytest.approx([6, 6])


def test_geographic_cells_cover_the_ellipsoid(crs):
    areas = pixel_areas(crs(4326), origin(-180, 90, 1, 1), 180)
    assert areas.sum() * 360 == pytest.approx(510_065_621.7e6, rel=1e-9)  # surface of the WGS84 ellipsoid, m^2
    assert areas[89] == pytest.approx(111.3195e3 * 110.5743e3, rel=1e-4)  # 1 degree by 1 degree at the equator
    assert areas == pytest.approx(areas[::-1])
    assert areas[0] < areas[45] < areas[89]


def test_web_mercator_is_corrected_for_its_scale(crs):
    degree = math.pi / 180
    y = 6378137 * math.log(math.tan(math.pi / 4 + 60 * degree / 2))  # 60 degrees north
    (area,) = pixel_areas(crs(3857), origin(0, y + 0.5, 1, 1), 1)
    assert area == pytest.approx(0.25, rel=1e-6)


def test_where_there_are_no_metres(crs):
    from affine import Affine

    assert pixel_areas(None, None, 3) is None
    assert pixel_areas(crs(4326), Affine.rotation(30), 3) is None


def test_counts_leave_out_what_is_no_class(tmp_path):
    counter = AreaCounter(3, np.array([1.0, 2.0, 4.0]))
    counter.add(0, np.array([[0, 1, 1, 255]], np.uint8))
    counter.add(1, np.array([[1, 1, 1, 1], [0, 255, 255, 0]], np.uint8))
    table = counter.table({0: "water", 1: "roof", 2: "road"})
    assert [entry.pixels for entry in table] == [3, 6, 0]
    assert [entry.square_metres for entry in table] == [9.0, 10.0, 0.0]
    assert sum(entry.share for entry in table) == pytest.approx(1)
    write_areas(table, tmp_path / "areas.csv")
    with (tmp_path / "areas.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {"id": "1", "label": "roof", "pixels": "6", "share": str(6 / 9), "square_metres": "10.0"}


def test_counts_go_on_where_they_were():
    counter = AreaCounter(2, None, pixels=[5, 7])
    counter.add(0, np.array([[0, 0, 1]], np.uint8))
    assert counter.pixels.tolist() == [7, 8]
    assert counter.table({0: "a", 1: "b"})[0].square_metres is None


def test_a_scene_without_any_data_has_no_shares():
    assert [entry.share for entry in AreaCounter(2, None).table({0: "a", 1: "b"})] == [0, 0]
