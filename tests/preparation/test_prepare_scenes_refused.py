"""Scenes and labels that do not fit are refused by name, and nothing is written."""

import numpy as np
import pytest

pytest.importorskip("pyogrio", reason="scenes and polygons need the extra geo")

import shapely
import shapely.affinity
from affine import Affine

from s5_hf.preparation import LabelSettings, TileSettings, prepare_scenes
from tests.geo_project import write_polygons, write_scene
from tests.preparation.survey import NORTH_WEST, ONE_PART, box, one_scene, prepare_boxes

BOX = [(box(0, 0, 10, 10), 0)]


def refused(folder, boxes, message, crs="EPSG:32618", scene=None, settings=None, error=ValueError, **options):
    """Preparing these polygons raises, and nothing is written."""
    path = scene or one_scene(folder)
    labels = write_polygons(folder / "labels.gpkg", boxes, ["grass", "house"], crs)
    settings = settings or LabelSettings(["grass", "house"], "class")
    with pytest.raises(error, match=message):
        prepare_scenes(path, labels, folder / "out", settings, TileSettings(64), ONE_PART, workers=1, **options)
    assert not (folder / "out").exists()


def test_bad_labels_are_refused_by_name_and_nothing_is_written(tmp_path):
    refused(tmp_path / "a", BOX, "says nothing of its coordinates", crs=None)
    refused(tmp_path / "b", [], "the layer is empty")
    refused(
        tmp_path / "c", BOX, "no attribute 'kind'; its attributes: class", settings=LabelSettings(["grass"], "kind")
    )
    refused(tmp_path / "d", BOX, r"no\s+class: grass \(1\). Classes: tree", settings=LabelSettings(["tree"], "class"))
    refused(
        tmp_path / "e", BOX, "which attribute .* Its attributes: class", settings=LabelSettings(["grass", "house"])
    )
    refused(tmp_path / "f", BOX, "has no layer 'x'; it has: labels", settings=LabelSettings(["grass"], "class", "x"))
    far = [(shapely.affinity.translate(BOX[0][0], 1e5, 0), 0)]
    refused(tmp_path / "g", far, r"no polygon of .* lies on a scene. The polygons lie in 683000")
    scene = one_scene(tmp_path / "h", crs=None, transform=None)
    refused(tmp_path / "h", BOX, "has no CRS, so that labels cannot be laid over it", scene=scene)
    refused(tmp_path / "i", BOX, "there is no file of polygons", areas=tmp_path / "none.gpkg", error=FileNotFoundError)


def test_scenes_with_other_bands_are_refused(tmp_path):
    one_scene(tmp_path)
    place = Affine(1, 0, NORTH_WEST[0] + 128, 0, -1, NORTH_WEST[1])
    other = tmp_path / "scenes" / "b.tif"
    write_scene(other, np.ones((3, 64, 64), dtype=np.uint16), place, "EPSG:32618")
    refused(tmp_path, BOX, r"a.tif and .*b.tif differ in bands: 4 and 3", scene=tmp_path / "scenes")
    write_scene(other, np.ones((4, 64, 64), dtype=np.uint8), place, "EPSG:32618")
    refused(tmp_path, BOX, "differ in the type of values: uint16 and uint8", scene=tmp_path / "scenes")


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match=r"holds other files, such as letter\.txt"):
        prepare_boxes(tmp_path, BOX)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["letter.txt"]
