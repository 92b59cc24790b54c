"""Polygons drawn into pixels and traced again come back to one pixel."""

import numpy as np
import pytest

pytest.importorskip("pyogrio", reason="scenes and polygons need the extra geo")

import pyogrio
import rasterio
import shapely
import shapely.affinity

from s5_hf.preparation import LabelSettings, SplitSettings, TileSettings, prepare_scenes
from s5_hf.scenes.segmentation.polygons import write_polygons as trace
from tests.geo_project import synthetic_pairs, write_geo_project, write_polygons, write_scene

CLASSES = ("ground", "house", "lake")


def read(path, field):
    _, _, geometry, columns = pyogrio.raw.read(path, columns=[field])
    return shapely.from_wkb(geometry), columns[0]


def by_class(path, field):
    geometries, names = read(path, field)
    return {name: shapely.union_all(geometries[names == name]) for name in sorted(set(names))}


@pytest.fixture
def survey(tmp_path):
    """Smooth shapes with a hole, not on the grid of pixels, over ground that fills the scene."""
    project = write_geo_project(tmp_path / "p", synthetic_pairs(1, 256), ["x"] * 6, scenes=1, columns=1, rows=1)
    with rasterio.open(project.paths[0]) as scene:
        bounds, values, transform = scene.bounds, np.maximum(scene.read(), 1), scene.transform
    write_scene(tmp_path / "scene.tif", values, transform, "EPSG:32618")
    west, south = bounds.left, bounds.bottom
    lake = (
        shapely.Point(west + 80.3, south + 90.7)
        .buffer(50.2)
        .difference(shapely.Point(west + 75, south + 95).buffer(20.4))
    )
    house = shapely.affinity.rotate(shapely.box(west + 150.5, south + 130.2, west + 190.8, south + 180.9), 27)
    ground = shapely.box(*bounds).difference(shapely.union_all([lake, house]))
    shapes = [*((part, 0) for part in shapely.get_parts(ground)), (house, 1), (lake, 2)]
    return tmp_path / "scene.tif", write_polygons(tmp_path / "labels.gpkg", shapes, CLASSES, "EPSG:32618")


def test_polygons_come_back_to_one_pixel(survey, tmp_path):
    scene, labels = survey
    result = prepare_scenes(
        scene,
        labels,
        tmp_path / "out",
        LabelSettings(CLASSES, "class"),
        TileSettings(256),
        SplitSettings(val_share=0, test_share=0),
        workers=1,
    )
    (mask,) = (result.folder / "train" / "masks").iterdir()
    trace(mask, tmp_path / "again.gpkg", labels=list(CLASSES), simplify=0)
    before, after = by_class(labels, "class"), by_class(tmp_path / "again.gpkg", "label")
    assert list(after) == sorted(CLASSES)
    for name in CLASSES:
        one, two = before[name], after[name]
        assert abs(one.area - two.area) < 0.01 * one.area
        # No outline moves by more than the diagonal of half a pixel: the centre rule at its worst.
        assert max(shapely.hausdorff_distance(one.boundary, two.boundary, densify=0.05), 0) <= 2**0.5 / 2 + 1e-6
    assert (
        shapely.union_all(list(after.values())).symmetric_difference(shapely.box(*before["ground"].bounds)).area == 0
    )
