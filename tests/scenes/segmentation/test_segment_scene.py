"""From a scene to the files of its map."""

import importlib.util
import json

import numpy as np
import pytest
import torch
from PIL import Image

from s5_hf.imaging.palettes import default_palette
from s5_hf.scenes import MapProducts, WindowSettings, segment_scene
from tests.scenes.conftest import smooth_image
from tests.scenes.segmenters import PixelSegmenter

EVERYTHING = MapProducts(probabilities=True, entropy=True, overlay=True, areas=True)
SETTINGS = WindowSettings(window=128, overlap=0.5)


def silent(line):
    pass


def expected_probabilities(image, segmenter):
    """Of a segmenter that looks at single pixels, so that windows do not matter; (classes, height, width)."""
    pixel_values = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - 0.5) / 0.25
    return segmenter.predict(pixel_values).softmax(dim=1)[0]


@pytest.fixture
def rasterio():
    return pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio (the extra geo)")


def test_a_geotiff_becomes_a_geotiff(tmp_path, write_geotiff, rasterio):
    image = smooth_image(600, 700)
    image[100:140, 300:390] = 0
    path = write_geotiff("scene.tif", image.transpose(2, 0, 1), nodata=0)
    segmenter = PixelSegmenter(num_labels=4)
    output = tmp_path / "maps" / "classes.tif"
    result = segment_scene(segmenter, path, output, settings=SETTINGS, products=EVERYTHING, report=silent)
    probabilities = expected_probabilities(image, segmenter)
    expected = probabilities.argmax(dim=0).numpy()
    expected[(image == 0).all(axis=2)] = 255
    with rasterio.open(output) as dataset, rasterio.open(path) as scene:
        classes = dataset.read(1)
        assert (dataset.crs, dataset.transform, dataset.nodata) == (scene.crs, scene.transform, 255)
        assert dataset.profile["compress"] == "deflate"
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.overviews(1) == [2]
        assert [dataset.colormap(1)[index][:3] for index in range(4)] == default_palette(4)
        assert dataset.colormap(1)[255] == (0, 0, 0, 0)
        assert json.loads(dataset.tags()["S5_ID2LABEL"])["3"] == "class 3"
    assert np.array_equal(classes, expected)
    assert (classes[100:140, 300:390] == 255).all()

    valid = classes != 255
    with rasterio.open(result.files.probabilities) as dataset:
        stored = dataset.read()
        assert dataset.descriptions == tuple(segmenter.id2label.values())
        assert dataset.scales == pytest.approx([1 / 254] * 4)
    assert (stored[:, ~valid] == 255).all()
    assert np.abs(stored[:, valid] / 254 - probabilities.numpy()[:, valid]).max() <= 0.5 / 254 + 1e-5
    with rasterio.open(result.files.entropy) as dataset:
        entropy = torch.special.entr(probabilities).sum(dim=0).numpy() / np.log(4)
        assert np.abs(dataset.read(1)[valid] / 254 - entropy[valid]).max() <= 0.5 / 254 + 1e-5

    assert [area.pixels for area in result.areas] == np.bincount(classes[valid], minlength=4).tolist()
    assert result.areas[1].square_metres == pytest.approx(result.areas[1].pixels * 0.25)
    assert sum(area.share for area in result.areas) == pytest.approx(1)
    assert not [file for file in output.parent.iterdir() if file.name.startswith(".")]


def test_the_sidecar_describes_the_map(tmp_path, write_geotiff):
    path = write_geotiff("data/scene.tif", smooth_image(70, 90).transpose(2, 0, 1))
    result = segment_scene(PixelSegmenter(), path, tmp_path / "maps" / "a.tif", report=silent)
    assert result.files.sidecar == tmp_path / "maps" / "a.json"
    content = json.loads(result.files.sidecar.read_text(encoding="utf-8"))
    assert content["source"] == "../data/scene.tif"
    assert (content["width"], content["height"], content["nodata"], content["crs"]) == (90, 70, 255, "EPSG:32633")
    assert content["id2label"] == {"0": "class 0", "1": "class 1", "2": "class 2"}
    assert content["palette"] == [list(color) for color in default_palette(3)]
    assert content["areas"][2]["pixels"] == result.areas[2].pixels


def test_a_png_becomes_a_png_without_rasterio(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    image = smooth_image(150, 170)
    Image.fromarray(image).save(tmp_path / "scene.png")
    segmenter = PixelSegmenter(num_labels=3)
    folder = tmp_path / "maps"
    result = segment_scene(segmenter, tmp_path / "scene.png", folder, products=EVERYTHING, report=silent)
    assert result.files.classes == folder / "scene.png"
    with Image.open(result.files.classes) as classes:
        assert classes.mode == "P"
        assert classes.getpalette()[:9] == [value for color in default_palette(3) for value in color]
        assert json.loads(classes.text["S5_ID2LABEL"])["0"] == "class 0"
        assert np.array_equal(np.asarray(classes), expected_probabilities(image, segmenter).argmax(dim=0).numpy())
    assert sorted(file.name for file in folder.iterdir()) == [
        "scene.json",
        "scene.png",
        "scene_areas.csv",
        "scene_entropy.png",
        "scene_overlay.png",
        "scene_probabilities_0_class-0.png",
        "scene_probabilities_1_class-1.png",
        "scene_probabilities_2_class-2.png",
    ]
    with pytest.raises(ImportError, match=r"s5_hf\[geo\]"):
        segment_scene(segmenter, tmp_path / "scene.png", tmp_path / "map.tif", report=silent)


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (17, 3), (600, 20)])
def test_scenes_of_any_size_come_out_whole(tmp_path, size):
    image = smooth_image(*size)
    Image.fromarray(image).save(tmp_path / "scene.png")
    segmenter = PixelSegmenter()
    output = tmp_path / "map.png"
    segment_scene(segmenter, tmp_path / "scene.png", output, settings=SETTINGS, products=EVERYTHING, report=silent)
    expected = expected_probabilities(image, segmenter).argmax(dim=0).numpy()
    assert np.array_equal(np.asarray(Image.open(output)), expected)


def test_windows_without_data_are_passed_over(tmp_path, write_geotiff, rasterio):
    image = np.zeros((3, 640, 640), np.uint8)
    image[:, :100, :100] = smooth_image(100, 100).transpose(2, 0, 1) | 1
    path = write_geotiff("corner.tif", image, nodata=0)
    segmenter = PixelSegmenter()
    segment_scene(segmenter, path, tmp_path / "map.tif", settings=WindowSettings(window=128), report=silent)
    assert segmenter.batch_sizes == [2 * 2]
    with rasterio.open(tmp_path / "map.tif") as dataset:
        classes = dataset.read(1)
    assert (classes[:100, :100] != 255).all()
    assert (classes == 255).sum() == 640 * 640 - 100 * 100


def test_a_scene_without_any_data_has_an_empty_map(tmp_path, write_geotiff, rasterio):
    path = write_geotiff("empty.tif", np.zeros((3, 90, 90), np.uint8), nodata=0)
    result = segment_scene(PixelSegmenter(), path, tmp_path / "map.tif", report=silent)
    assert [area.pixels for area in result.areas] == [0, 0, 0]
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert (dataset.read(1) == 255).all()


def test_the_overlay_of_a_big_scene_is_reduced(tmp_path, monkeypatch):
    from s5_hf.scenes.segmentation import scene_overlay

    monkeypatch.setattr(scene_overlay, "MAX_OVERLAY_SIDE", 100)
    image = np.zeros((610, 305, 3), np.uint8)
    image[:305] = (200, 30, 30)
    Image.fromarray(image).save(tmp_path / "scene.png")
    products = MapProducts(overlay=True)
    segmenter = PixelSegmenter()
    result = segment_scene(
        segmenter, tmp_path / "scene.png", tmp_path / "m.png", settings=SETTINGS, products=products, report=silent
    )
    overlay = np.asarray(Image.open(result.files.overlay))
    height, width = -(-(610 - 3) // 7), -(-(305 - 3) // 7)  # every 7th pixel from the third
    assert overlay.shape[0] >= height
    classes = expected_probabilities(image, segmenter).argmax(dim=0).numpy()
    palette = np.array(default_palette(3))
    for row, source_row in ((0, 3), (height - 1, 3 + 7 * (height - 1))):
        expected = np.rint(image[source_row, 0] * 0.5 + palette[classes[source_row, 0]] * 0.5)
        assert np.abs(overlay[row, :width].astype(int) - expected).max() <= 1


def test_polygons_are_written_beside_the_map(tmp_path, write_geotiff):
    pytest.importorskip("shapely", reason="polygons need shapely (the extra geo)")
    path = write_geotiff("scene.tif", smooth_image(60, 60).transpose(2, 0, 1))
    products = MapProducts(polygons=".geojson", polygon_classes=["class 1"])
    result = segment_scene(PixelSegmenter(), path, tmp_path / "map.tif", products=products, report=silent)
    assert result.files.polygons == tmp_path / "map_polygons.geojson"
    features = json.loads(result.files.polygons.read_text(encoding="utf-8"))["features"]
    assert {feature["properties"]["label"] for feature in features} == {"class 1"}


def test_a_map_that_is_there_is_kept_unless_told(tmp_path):
    Image.fromarray(smooth_image(40, 40)).save(tmp_path / "scene.png")
    (tmp_path / "map.png").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"map.png exists already"):
        segment_scene(PixelSegmenter(), tmp_path / "scene.png", tmp_path / "map.png", report=silent)
    assert (tmp_path / "map.png").read_bytes() == b"mine"
    segment_scene(PixelSegmenter(), tmp_path / "scene.png", tmp_path / "map.png", overwrite=True, report=silent)
    with Image.open(tmp_path / "map.png") as image:
        assert image.size == (40, 40)


def test_wrong_outputs_are_refused_before_any_work(tmp_path):
    Image.fromarray(smooth_image(40, 40)).save(tmp_path / "scene.png")
    with pytest.raises(ValueError, match=r"written as .tif or .png, got"):
        segment_scene(PixelSegmenter(), tmp_path / "scene.png", tmp_path / "map.jpg", report=silent)
    with pytest.raises(ValueError, match=r".geojson or .gpkg, got 'a.shp'"):
        MapProducts(polygons="a.shp")
    with pytest.raises(ValueError, match=r"no classes roof .*it has: class 0, class 1, class 2"):
        products = MapProducts(polygons=".gpkg", polygon_classes=["roof", "class 1"])
        segment_scene(PixelSegmenter(), tmp_path / "scene.png", tmp_path / "map.png", products=products, report=silent)
    with pytest.raises(ValueError, match="would replace the scene"):
        segment_scene(PixelSegmenter(), tmp_path / "scene.png", tmp_path / "scene.png", report=silent, overwrite=True)
    with pytest.raises(ValueError, match="at most 255 classes, the model has 300"):
        segment_scene(PixelSegmenter(300), tmp_path / "scene.png", tmp_path / "map.png", report=silent)
    with pytest.raises(OSError, match=r"scene.png"):  # a folder below a file cannot be made
        segment_scene(PixelSegmenter(), tmp_path / "scene.png", tmp_path / "scene.png" / "map.png", report=silent)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["scene.png"]
