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

CLASSES = list(SCENE_LABELS)
LABELS = LabelSettings(CLASSES, "class")
TILES = TileSettings(64, 0.25)
NORTH_WEST = (583_000.0, 4_508_000.0)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two scenes of 256 x 256 px with polygons of all classes."""
    return write_geo_project(tmp_path_factory.mktemp("project"), synthetic_pairs(8, 128), SCENE_LABELS)


@pytest.fixture(scope="module")
def prepared(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "city"
    return prepare_scenes(project.scenes, project.labels, folder, LABELS, TILES, workers=1)


def tiles_of(folder, part="*"):
    """Path of the image, its dataset's bounds, the bands, and the mask of every tile."""
    for path in sorted(folder.glob(f"{part}/images/*.tif")):
        with rasterio.open(path) as image, rasterio.open(path.parents[1] / "masks" / path.name) as mask:
            assert (image.crs, image.transform, image.shape) == (mask.crs, mask.transform, mask.shape)
            yield path, image, mask.read(1)


def place_of(path):
    """Scene, left and top of a tile from its name."""
    scene, left, top = path.stem.rsplit("_", 2)
    return scene, int(left), int(top)


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


def one_scene(folder, side=128, **options):
    """A scene of one value, and where it lies."""
    transform = Affine(1, 0, NORTH_WEST[0], 0, -1, NORTH_WEST[1])
    values = np.full((4, side, side), 500, dtype=np.uint16)
    place = {"transform": transform, "crs": "EPSG:32618", **options}
    return write_scene(folder / "scenes" / "a.tif", values, place["transform"], place["crs"])


def box(left, top, right, bottom):
    """A rectangle of pixels of `one_scene` in its CRS."""
    west, north = NORTH_WEST
    return shapely.box(west + left, north - bottom, west + right, north - top)


ONE_PART = SplitSettings(val_share=0, test_share=0)


def only_mask(result):
    """The only mask, of a scene that is one tile."""
    ((_, _, mask),) = tiles_of(result.folder)
    return mask


def prepare_boxes(folder, boxes, classes=("grass", "house"), settings=None, tiles=None, **options):
    scene = one_scene(folder)
    labels = write_polygons(folder / "labels.gpkg", boxes, classes, "EPSG:32618")
    settings = settings or LabelSettings(classes, "class")
    return prepare_scenes(
        scene, labels, folder / "out", settings, tiles or TileSettings(128), ONE_PART, workers=1, **options
    )


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


def refused(folder, boxes, message, crs="EPSG:32618", scene=None, settings=None, error=ValueError, **options):
    """Preparing these polygons raises, and nothing is written."""
    path = scene or one_scene(folder)
    labels = write_polygons(folder / "labels.gpkg", boxes, ["grass", "house"], crs)
    settings = settings or LabelSettings(["grass", "house"], "class")
    with pytest.raises(error, match=message):
        prepare_scenes(path, labels, folder / "out", settings, TileSettings(64), ONE_PART, workers=1, **options)
    assert not (folder / "out").exists()


BOX = [(box(0, 0, 10, 10), 0)]


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


def test_polygons_beside_the_scenes_and_of_no_class_are_counted(tmp_path):
    boxes = [*BOX, (shapely.affinity.translate(BOX[0][0], 1e5, 0), 0), (box(30, 30, 40, 40), 1)]
    settings = LabelSettings(["grass", "water"], "class", ignore_unknown=True)
    result = prepare_boxes(tmp_path, boxes, settings=settings)
    assert [w.split(" of /")[0] for w in result.warnings[:3]] == [
        "polygons of no class, left out: house (1)",
        "no polygon has the class 'water'",
        "1 of 3 polygons",
    ]


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
