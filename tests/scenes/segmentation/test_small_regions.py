"""The minimum mapping unit: small regions go to the neighbour with the longest border."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy import ndimage

from s5_hf.scenes import MapProducts, segment_scene
from s5_hf.scenes.segmentation.small_regions import merge_small_regions
from tests.scenes.conftest import smooth_image
from tests.scenes.segmenters import PixelSegmenter


def merged(ids, minimum, row_areas=None, band_rows=512):
    result = np.full_like(ids, 77)

    def write(top, rows):
        result[top : top + len(rows)] = rows

    merge_small_regions(lambda top, bottom: ids[top:bottom], write, ids.shape, minimum, row_areas, 255, band_rows)
    return result


def regions_of(ids):
    """(mask, class) of every region, by another program."""
    for class_id in np.unique(ids[ids != 255]):
        labels, count = ndimage.label(ids == class_id)
        for number in range(1, count + 1):
            yield labels == number, class_id


def test_a_small_region_goes_to_the_neighbour_with_the_longest_border():
    ids = np.array(
        [
            [1, 1, 1, 2, 2],
            [1, 3, 3, 2, 2],
            [1, 1, 1, 2, 2],
            [1, 1, 1, 2, 2],
        ],
        dtype=np.uint8,
    )
    expected = np.where(ids == 3, 1, ids)  # five sides to class 1, one to class 2
    np.testing.assert_array_equal(merged(ids, 3), expected)
    np.testing.assert_array_equal(merged(ids, 2), ids)  # as large as the minimum


def test_a_region_that_grew_joins_all_neighbours_of_its_class():
    ids = np.array([[1, 1, 2, 1, 1, 3, 3, 3, 3, 3, 3]], dtype=np.uint8)
    joined = np.where(ids == 2, 1, ids)
    np.testing.assert_array_equal(merged(ids, 2), joined)
    np.testing.assert_array_equal(merged(ids, 4), joined)  # both halves and what lay between them: five pixels
    np.testing.assert_array_equal(merged(ids, 6), np.full_like(ids, 3))


def test_pixels_without_data_stay_and_lone_regions_too():
    ids = np.array([[255, 255, 1], [255, 255, 255], [2, 2, 3]], dtype=np.uint8)
    np.testing.assert_array_equal(merged(ids, 9), [[255, 255, 1], [255, 255, 255], [2, 2, 2]])


def test_areas_of_rows_count():
    ids = np.array([[1, 2, 2, 2], [3, 3, 3, 4]], dtype=np.uint8)
    areas = np.array([10.0, 1.0])
    np.testing.assert_array_equal(merged(ids, 5, areas), [[1, 2, 2, 2], [2, 2, 2, 2]])


@settings(max_examples=60, deadline=None)
@given(
    ids=arrays(np.uint8, st.tuples(st.integers(1, 18), st.integers(1, 14)), elements=st.sampled_from([0, 1, 2, 255])),
    minimum=st.integers(1, 12),
    band_rows=st.integers(1, 20),
)
def test_no_region_stays_too_small_unless_it_is_alone(ids, minimum, band_rows):
    result = merged(ids, minimum, band_rows=band_rows)
    np.testing.assert_array_equal(result, merged(ids, minimum))  # bands do not matter
    np.testing.assert_array_equal(result == 255, ids == 255)
    for mask, class_id in regions_of(result):
        around = ndimage.binary_dilation(mask) & ~mask
        assert mask.sum() >= minimum or (result[around] == 255).all()
        assert (ids[mask] == class_id).any()  # nothing comes from nowhere
    if all(mask.sum() >= minimum for mask, _ in regions_of(ids)):
        np.testing.assert_array_equal(result, ids)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_map_without_small_regions(tmp_path, suffix):
    if suffix == ".tif":
        pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio (the extra geo)")
    Image.fromarray(smooth_image(560, 300)).save(tmp_path / "scene.png")
    products = MapProducts(minimum_area=30, overlay=True, areas=True)
    results, maps = [], []
    for name, made in (("plain", None), ("simple", products)):
        output = tmp_path / f"{name}{suffix}"
        results.append(
            segment_scene(PixelSegmenter(), tmp_path / "scene.png", output, products=made, report=lambda line: None)
        )
        with Image.open(output) as picture:
            maps.append(np.asarray(picture))
    before, after = maps
    assert sum(1 for mask, _ in regions_of(before) if mask.sum() < 30) > 20
    assert min(mask.sum() for mask, _ in regions_of(after)) >= 30
    np.testing.assert_array_equal(after, merged(before, 30))
    assert [area.pixels for area in results[1].areas] == np.bincount(after.ravel(), minlength=3).tolist()
    stems = sorted(path.stem for path in tmp_path.glob("simple*"))
    assert stems == ["simple", "simple", "simple_areas", "simple_overlay"]


def test_a_negative_area_is_refused():
    with pytest.raises(ValueError, match="minimum_area must not be negative, got -3"):
        MapProducts(minimum_area=-3)
