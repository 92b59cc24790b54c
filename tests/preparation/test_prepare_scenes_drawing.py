"""How polygons become pixels of tiles: overlaps, borders, areas, and what lies in no polygon."""

import numpy as np
import pytest

pytest.importorskip("pyogrio", reason="scenes and polygons need the extra geo")

import rasterio
import shapely
import shapely.affinity
from affine import Affine

from s5_hf.dataset_builders.description import read_description
from s5_hf.preparation import LabelSettings, TileSettings, prepare_scenes
from tests.geo_project import IGNORE, write_polygons, write_scene
from tests.preparation.survey import NORTH_WEST, ONE_PART, box, one_scene, only_mask, prepare_boxes, tiles_of

BOX = [(box(0, 0, 10, 10), 0)]


def test_where_polygons_overlap_the_priority_decides_and_pixels_are_counted(tmp_path):
    boxes = [(box(0, 0, 60, 60), 1), (box(40, 40, 100, 100), 0)]
    later = prepare_boxes(tmp_path / "later", boxes)
    assert only_mask(later)[50, 50] == 0
    settings = LabelSettings(("grass", "house"), "class", priority=["house"])
    first = prepare_boxes(tmp_path / "priority", boxes, settings=settings)
    mask = only_mask(first)
    assert mask[50, 50] == 1 and mask[39, 39] == 1 and mask[99, 99] == 0 and mask[120, 120] == IGNORE
    assert [w for w in first.warnings if "lie over one another in 400 pixels (2.44%)" in w]


def test_what_lies_in_no_polygon_is_ignored_or_a_class_and_one_class_needs_no_attribute(tmp_path):
    settings = LabelSettings(("other", "house"), unlabelled="other")
    mask = only_mask(prepare_boxes(tmp_path, [(box(10, 20, 30, 50), 0)], settings=settings))
    expected = np.zeros((128, 128), dtype=np.uint8)
    expected[20:50, 10:30] = 1
    np.testing.assert_array_equal(mask, expected)


def test_centres_or_all_touched_pixels(tmp_path):
    boxes = [(box(10.6, 10.6, 20.4, 20.4), 0)]
    centres = only_mask(prepare_boxes(tmp_path / "centres", boxes))
    assert (centres == 0).sum() == 9 * 9
    settings = LabelSettings(("grass", "house"), "class", all_touched=True)
    touched = only_mask(prepare_boxes(tmp_path / "touched", boxes, settings=settings))
    assert (touched == 0).sum() == 11 * 11


def test_outside_of_the_areas_nothing_is_labelled_and_no_tile_is_made(tmp_path):
    areas = write_polygons(tmp_path / "areas.geojson", [(box(0, 0, 64, 40), 0)], ["x"], "EPSG:32618")
    settings = LabelSettings(("other", "house"), unlabelled="other")
    result = prepare_boxes(
        tmp_path,
        [(box(10, 20, 30, 50), 0)],
        settings=settings,
        tiles=TileSettings(64, keep_unlabelled=True),
        areas=areas,
    )
    mask = only_mask(result)
    assert (mask[40:] == IGNORE).all() and (mask[:40] != IGNORE).all() and (mask == 1).sum() == 20 * 20
    assert [(part.tiles, part.empty) for part in result.parts] == [(1, 3)]


def test_tiles_without_label_are_left_out_unless_kept(tmp_path):
    boxes = [(box(0, 0, 10, 10), 1)]
    sparse = prepare_boxes(tmp_path / "sparse", boxes, tiles=TileSettings(32))
    assert [(part.tiles, part.empty) for part in sparse.parts] == [(1, 15)]
    kept = prepare_boxes(tmp_path / "kept", boxes, tiles=TileSettings(32, keep_unlabelled=True))
    assert [(part.tiles, part.empty) for part in kept.parts] == [(16, 0)]
    masks = np.stack([mask for *_, mask in tiles_of(kept.folder)])
    assert (masks == 1).sum() == 100 and (masks == IGNORE).sum() == 16 * 32 * 32 - 100


def test_a_scene_smaller_than_a_tile_is_filled_with_its_nodata_value(tmp_path):
    result = prepare_boxes(tmp_path, [(box(0, 0, 200, 200), 1)], tiles=TileSettings(160))
    mask = only_mask(result)
    assert mask.shape == (160, 160) and (mask[:128, :128] == 1).all() and (mask == 1).sum() == 128 * 128
    with rasterio.open(next(result.folder.glob("train/images/*.tif"))) as opened:
        values = opened.read()
    assert (values[:, 128:] == 0).all() and (values[:, :128, :128] == 500).all()


def test_polygons_beside_the_scenes_and_of_no_class_are_counted(tmp_path):
    boxes = [*BOX, (shapely.affinity.translate(BOX[0][0], 1e5, 0), 0), (box(30, 30, 40, 40), 1)]
    settings = LabelSettings(["grass", "water"], "class", ignore_unknown=True)
    result = prepare_boxes(tmp_path, boxes, settings=settings)
    assert [w.split(" of /")[0] for w in result.warnings[:3]] == [
        "polygons of no class, left out: house (1)",
        "no polygon has the class 'water'",
        "1 of 3 polygons",
    ]


def test_a_band_of_transparency_is_left_out_and_says_where_data_is(tmp_path):
    values = np.full((4, 128, 128), 200, dtype=np.uint8)
    values[3, :40] = 0
    place = {"crs": "EPSG:32618", "transform": Affine(1, 0, NORTH_WEST[0], 0, -1, NORTH_WEST[1])}
    kind = {"count": 4, "height": 128, "width": 128, "dtype": "uint8", "photometric": "RGB", "alpha": "YES"}
    with rasterio.open(tmp_path / "a.tif", "w", **kind, **place) as file:
        file.write(values)
    labels = write_polygons(tmp_path / "labels.gpkg", [(box(0, 0, 128, 128), 0)], ["grass"], "EPSG:32618")
    settings = LabelSettings(["grass"], "class")
    result = prepare_scenes(
        tmp_path / "a.tif", labels, tmp_path / "out", settings, TileSettings(128), ONE_PART, workers=1
    )
    mask = only_mask(result)
    assert (mask[:40] == IGNORE).all() and (mask[40:] == 0).all()
    assert read_description(tmp_path / "out")["bands"] == ["red", "green", "blue"]
    assert [warning for warning in result.warnings if "marks band 4 as transparency" in warning]
    every_band = TileSettings(128, bands=(1, 2, 3, 4))
    mask = only_mask(
        prepare_scenes(tmp_path / "a.tif", labels, tmp_path / "all", settings, every_band, ONE_PART, workers=1)
    )
    assert (mask == 0).all()


def test_rasters_without_crs_lie_beside_scenes_of_the_same_name_and_size(tmp_path):
    one_scene(tmp_path, crs=None, transform=None)
    ids = np.zeros((1, 128, 128), dtype=np.uint8)
    ids[0, :30, :50] = 1
    write_scene(tmp_path / "labels" / "a.tif", ids, None, None, None)
    settings = LabelSettings(["grass", "house"])
    result = prepare_scenes(
        tmp_path / "scenes", tmp_path / "labels", tmp_path / "out", settings, TileSettings(128), ONE_PART, workers=1
    )
    np.testing.assert_array_equal(only_mask(result), ids[0])
    write_scene(tmp_path / "labels" / "a.tif", ids[:, :100], None, None, None)
    with pytest.raises(ValueError, match=r"is 128 x 100 px, but its scene .* is 128 x 128 px"):
        prepare_scenes(tmp_path / "scenes", tmp_path / "labels", tmp_path / "x", settings, TileSettings(128))
