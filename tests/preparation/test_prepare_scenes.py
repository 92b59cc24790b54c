"""Scenes with polygons or rasters of classes to tiles: what is written, where it lies, and what is refused."""

import json
import os
import shutil

import numpy as np
import pytest

pytest.importorskip("pyogrio", reason="scenes and polygons need the extra geo")

import rasterio
import rasterio.warp
import shapely
import shapely.affinity
import shapely.geometry
from affine import Affine
from PIL import Image
from rasterio.crs import CRS
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.dataset_builders.description import read_description
from s5_hf.preparation import LabelSettings, SplitSettings, TileSettings, prepare_scenes
from s5_hf.preparation.scenes.scene_info import describe_scenes
from s5_hf.synthetic import SCENE_LABELS
from tests.geo_project import BANDS, IGNORE, synthetic_pairs, write_geo_project, write_polygons, write_scene
from tests.preparation.survey import place_of, tiles_of

CLASSES = list(SCENE_LABELS)
LABELS = LabelSettings(CLASSES, "class")
TILES = TileSettings(64, 0.25)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two scenes of 256 x 256 px with polygons of all classes."""
    return write_geo_project(tmp_path_factory.mktemp("project"), synthetic_pairs(8, 128), SCENE_LABELS)


@pytest.fixture(scope="module")
def prepared(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "city"
    return prepare_scenes(project.scenes, project.labels, folder, LABELS, TILES, workers=1)


def test_tiles_hold_the_values_and_classes_of_their_place(project, prepared):
    count = 0
    for path, image, mask in tiles_of(prepared.folder):
        scene, left, top = place_of(path)
        with rasterio.open(project.scenes / f"{scene}.tif") as source:
            window = rasterio.windows.Window(left, top, 64, 64)
            np.testing.assert_array_equal(image.read(), source.read(window=window))
            assert image.transform == source.window_transform(window)
            assert (image.crs, image.dtypes, image.nodata) == (source.crs, source.dtypes, source.nodata)
            assert image.descriptions == BANDS
        np.testing.assert_array_equal(mask, project.masks[scene][top : top + 64, left : left + 64])
        count += 1
    assert count == sum(part.tiles for part in prepared.parts) > 20
    assert [part.part for part in prepared.parts] == ["train", "val", "test"]


def test_counts_are_those_of_the_masks_and_every_class_is_in_every_part(prepared):
    for part in prepared.parts:
        masks = np.stack([mask for *_, mask in tiles_of(prepared.folder, part.part)])
        assert part.tiles == len(masks) and part.ignored == (masks == IGNORE).sum()
        assert part.class_pixels == {name: (masks == index).sum() for index, name in enumerate(CLASSES)}
    common = ("field", "building", "road", "tree")
    assert all(part.class_pixels[name] > 0 for part in prepared.parts for name in common)


def test_the_description_and_the_report(project, prepared):
    description = read_description(prepared.folder)
    assert description["classes"] == CLASSES and description["ignore_index"] == 255
    assert (description["bands"], description["dtype"], description["nodata"]) == (list(BANDS), "uint16", 0)
    assert description["splits"]["test"]["tiles"] == prepared.parts[2].tiles
    assert CRS.from_wkt(description["crs"]).to_epsg() == 32618 and description["pixel_side"] == 1.0
    assert description["scenes"] == [str(path) for path in project.paths]
    page = (prepared.folder / "report.html").read_text()
    assert page.count("<img") == sum(min(8, part.tiles) for part in prepared.parts) and "<polygon" in page
    assert all(name in page for name in CLASSES)


def test_masks_are_read_by_the_builder_of_images_and_masks(prepared):
    from s5_hf.data import open_folder

    folder = open_folder("s5-image-mask", prepared.folder)
    assert folder.labels == tuple(CLASSES)  # as dataset.json says
    counts = {split: sum(shard.num_rows for shard in shards) for split, shards in folder.shards.items()}
    assert counts == {part.part: part.tiles for part in prepared.parts}
    mask = next(iter(sorted(prepared.folder.glob("train/masks/*.tif"))))
    with Image.open(mask) as opened, rasterio.open(mask) as expected:
        np.testing.assert_array_equal(np.asarray(opened), expected.read(1))


def test_no_tile_of_one_part_comes_near_a_tile_of_another(prepared):
    boxes = {}
    for path, image, _ in tiles_of(prepared.folder):
        boxes.setdefault(path.parts[-3], []).append(shapely.box(*image.bounds))
    for one, two in (("train", "val"), ("train", "test"), ("val", "test")):
        nearest = min(a.distance(b) for a in boxes[one] for b in boxes[two])
        assert nearest >= 8  # an eighth of a tile, in metres of one pixel


def test_the_same_call_resumes_and_other_labels_are_refused(project, tmp_path):
    folder = tmp_path / "city"
    first = prepare_scenes(project.scenes, project.labels, folder, LABELS, TILES, workers=1)
    assert first.skipped == 0
    lost = next(folder.glob("train/images/*.tif"))
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/images/*.tif")}
    lost.unlink()
    second = prepare_scenes(project.scenes, project.labels, folder, LABELS, TILES, workers=1)
    assert second.skipped > 0 and second.parts == first.parts and lost.is_file()
    changed = [path for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert lost in changed and len(changed) < len(before)
    with pytest.raises(ValueError, match="prepared with other settings: label_settings"):
        prepare_scenes(
            project.scenes, project.labels, folder, LabelSettings(CLASSES, "class", unlabelled="field"), TILES
        )


def test_a_scene_that_was_replaced_is_refused_as_its_blocks_may_go_to_other_parts(project, tmp_path):
    shutil.copytree(project.scenes, tmp_path / "scenes")
    options = {"split_settings": SplitSettings("scenes", test_share=0.5, val_share=0), "workers": 1}
    prepare_scenes(tmp_path / "scenes", project.labels, tmp_path / "out", LABELS, TILES, **options)
    os.utime(tmp_path / "scenes" / "scene_1.tif", (1, 1))
    with pytest.raises(ValueError, match="prepared with other settings: scenes was"):
        prepare_scenes(tmp_path / "scenes", project.labels, tmp_path / "out", LABELS, TILES, **options)


def test_scenes_can_be_held_out_by_name(project, tmp_path):
    split = SplitSettings(val_share=0.2, test_scenes=["*_1"])
    result = prepare_scenes(project.scenes, project.labels, tmp_path / "city", LABELS, TILES, split, workers=1)
    scenes = {
        part.part: {place_of(path)[0] for path, *_ in tiles_of(result.folder, part.part)} for part in result.parts
    }
    assert scenes == {"train": {"scene_0"}, "val": {"scene_0"}, "test": {"scene_1"}}
    with pytest.raises(ValueError, match=r"no scene has a name such as 'north\*' \(test\); scenes: scene_0, scene_1"):
        prepare_scenes(
            project.scenes, project.labels, tmp_path / "x", LABELS, TILES, SplitSettings(test_scenes=["north*"])
        )


def test_whole_scenes_are_split_and_need_to_be_enough(project, tmp_path):
    split = SplitSettings("scenes", val_share=0, test_share=0.5)
    result = prepare_scenes(project.scenes, project.labels, tmp_path / "city", LABELS, TILES, split, workers=1)
    scenes = [{place_of(path)[0] for path, *_ in tiles_of(result.folder, part)} for part in ("train", "test")]
    assert [len(names) for names in scenes] == [1, 1] and scenes[0] != scenes[1]
    with pytest.raises(ValueError, match="2 blocks or scenes with labels to share out among train, val, test"):
        prepare_scenes(project.scenes, project.labels, tmp_path / "x", LABELS, TILES, SplitSettings("scenes"))
    assert not (tmp_path / "x").exists()


def test_polygons_in_another_crs_are_reprojected_with_a_warning(project, prepared, tmp_path):
    from s5_hf.preparation.scenes.vector_layer import read_polygons

    layer = read_polygons(str(project.labels), None, "class")
    degrees = rasterio.warp.transform_geom(
        "EPSG:32618", "EPSG:4326", [shapely.geometry.mapping(geometry) for geometry in layer.geometries]
    )
    polygons = [
        (shapely.geometry.shape(g), CLASSES.index(name)) for g, name in zip(degrees, layer.values, strict=True)
    ]
    labels = write_polygons(tmp_path / "degrees.gpkg", polygons, CLASSES, "EPSG:4326")
    result = prepare_scenes(project.scenes, labels, tmp_path / "out", LABELS, TILES, workers=1)
    assert f"{labels} is in EPSG:4326 and is reprojected to EPSG:32618" in result.warnings
    wrong = total = 0
    for path, _, mask in tiles_of(result.folder):
        scene, left, top = place_of(path)
        wrong += (mask != project.masks[scene][top : top + 64, left : left + 64]).sum()
        total += mask.size
    assert wrong <= 1e-3 * total


def test_rasters_are_labels_too_with_values_of_their_own(project, prepared, tmp_path):
    for scene, mask in project.masks.items():
        with rasterio.open(project.scenes / f"{scene}.tif") as source:
            values = np.where(mask == IGNORE, 0, mask + 10)[None].astype(np.uint8)
            write_scene(tmp_path / "labels" / f"{scene}.tif", values, source.transform, source.crs.to_wkt())
    settings = LabelSettings({name: [index + 10] for index, name in enumerate(CLASSES)})
    result = prepare_scenes(project.scenes, tmp_path / "labels", tmp_path / "out", settings, TILES, workers=1)
    assert result.parts == prepared.parts
    for path, _, mask in tiles_of(result.folder):
        with rasterio.open(
            prepared.folder / path.relative_to(result.folder).as_posix().replace("images", "masks")
        ) as t:
            np.testing.assert_array_equal(mask, t.read(1))
    with pytest.raises(ValueError, match=r"values of no class: 1\d \("):
        prepare_scenes(project.scenes, tmp_path / "labels", tmp_path / "x", LabelSettings(CLASSES), TILES)


def test_scenes_that_overlap_share_no_ground_between_parts(project, tmp_path):
    with rasterio.open(project.paths[0]) as source:
        values, transform = source.read(), source.transform
    write_scene(tmp_path / "in" / "a.tif", values, transform, "EPSG:32618")
    write_scene(tmp_path / "in" / "b.tif", values, transform * Affine.translation(37, 21), "EPSG:32618")
    result = prepare_scenes(tmp_path / "in", project.labels, tmp_path / "out", LABELS, TILES, workers=1)
    boxes = {}
    for path, image, _ in tiles_of(result.folder):
        boxes.setdefault(path.parts[-3], []).append(shapely.box(*image.bounds))
    for one, two in (("train", "val"), ("train", "test"), ("val", "test")):
        assert min(a.distance(b) for a in boxes[one] for b in boxes[two]) >= 7.9
    assert [w for w in result.warnings if "because they lie within 8 pixels of a tile of another part" in w]


def test_the_command(project, tmp_path):
    words = ["prepare-scenes", str(project.scenes / "*.tif"), "--labels", str(project.labels), "--attribute", "class"]
    words += ["--classes", "ground=field|road,building,plant=tree,water,car", "--tile-size", "64", "--workers", "1"]
    result = CliRunner().invoke(app, [*words, "--output", str(tmp_path / "city")], catch_exceptions=False)
    assert result.exit_code == 0 and "report:" in result.output
    description = json.loads((tmp_path / "city" / "dataset.json").read_text())
    assert description["classes"] == ["ground", "building", "plant", "water", "car"]
    for path, _, mask in tiles_of(tmp_path / "city"):
        scene, left, top = place_of(path)
        ids = project.masks[scene][top : top + 64, left : left + 64]
        expected = np.select([ids == i for i in range(6)], [0, 0, 1, 3, 2, 4], IGNORE)
        np.testing.assert_array_equal(mask, expected)


def test_pixels_of_different_sizes_are_told_in_metres_whatever_the_crs(project, tmp_path):
    with rasterio.open(project.paths[0]) as source:
        values, place = source.read(), source.transform
        degrees, width, height = rasterio.warp.calculate_default_transform(
            source.crs, "EPSG:4326", source.width, source.height, *source.bounds
        )
    write_scene(tmp_path / "a.tif", values, place, "EPSG:32618")
    write_scene(tmp_path / "b.tif", values[:, :height, :width], degrees, "EPSG:4326")
    scenes, warnings = describe_scenes([str(tmp_path / name) for name in ("a.tif", "b.tif")])
    assert warnings == [] and scenes[1].pixel_metres == pytest.approx(1, rel=0.05)
    write_scene(tmp_path / "c.tif", values, place * Affine.scale(2), "EPSG:32618")
    warnings = describe_scenes([str(tmp_path / name) for name in ("a.tif", "b.tif", "c.tif")])[1]
    assert [w for w in warnings if w.startswith("the pixels of the scenes differ in size") and "to 2 m (c)" in w]
