"""Maps to hand on: cloud optimized files, colours and styles."""

import json

import numpy as np
import pytest

from s5_hf.imaging.palette_files import read_palette
from s5_hf.scenes import MapProducts, WindowSettings, segment_scene
from tests.scenes.conftest import smooth_image
from tests.scenes.segmenters import PixelSegmenter

rasterio = pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio (the extra geo)")

SETTINGS = WindowSettings(window=256, overlap=0.1)


def silent(line):
    pass


def tiff_directories(path):
    """Where the image directories and the tiles of a little-endian TIFF lie: [(offset, smallest tile offset)]."""
    data = path.read_bytes()

    def number(at, size):
        return int.from_bytes(data[at : at + size], "little")

    assert data[:4] == b"II*\x00"
    offset, found = number(4, 4), []
    while offset:
        count = number(offset, 2)
        tags = {number(at, 2): at for at in range(offset + 2, offset + 2 + 12 * count, 12)}
        tiles, at = number(tags[324] + 4, 4), tags[324] + 8  # TileOffsets
        first = number(at, 4) if tiles == 1 else number(number(at, 4), 4)
        found.append((offset, first))
        offset = number(offset + 2 + 12 * count, 4)
    return found


def test_a_cloud_optimized_map(tmp_path, write_geotiff):
    scene = write_geotiff("scene.tif", smooth_image(700, 1200).transpose(2, 0, 1))
    products = MapProducts(probabilities=True, cloud_optimized=True)
    plain = segment_scene(PixelSegmenter(), scene, tmp_path / "plain.tif", settings=SETTINGS, report=silent)
    result = segment_scene(
        PixelSegmenter(), scene, tmp_path / "cog.tif", settings=SETTINGS, products=products, report=silent
    )
    for path in (result.files.classes, result.files.probabilities):
        with rasterio.open(path) as dataset:
            assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"  # GDAL's own check of the file
            assert dataset.block_shapes[0] == (512, 512) and dataset.overviews(1) == [2, 4]
            assert dataset.nodata == 255 and dataset.crs.to_epsg() == 32633
        directories = tiff_directories(path)
        # All directories before all tiles, and the tiles of the smallest overview first.
        assert max(offset for offset, _ in directories) < min(tile for _, tile in directories)
        assert [tile for _, tile in directories] == sorted((tile for _, tile in directories), reverse=True)
    with rasterio.open(result.files.classes) as cog, rasterio.open(plain.files.classes) as other:
        np.testing.assert_array_equal(cog.read(), other.read())
        assert cog.colormap(1) == other.colormap(1) and cog.tags()["S5_ID2LABEL"] == other.tags()["S5_ID2LABEL"]
        assert (cog.transform, cog.descriptions) == (other.transform, other.descriptions)
    with rasterio.open(result.files.probabilities) as dataset:
        assert dataset.descriptions == ("class 0", "class 1", "class 2")
        assert dataset.scales == pytest.approx([1 / 254] * 3)
    assert sorted(path.name for path in tmp_path.glob("cog*")) == ["cog.json", "cog.tif", "cog_probabilities.tif"]


def test_a_png_cannot_be_cloud_optimized(tmp_path, write_geotiff):
    scene = write_geotiff("scene.tif", smooth_image(20, 20).transpose(2, 0, 1))
    with pytest.raises(ValueError, match=r"\(--cog\) is a \.tif, got .*map\.png"):
        products = MapProducts(cloud_optimized=True)
        segment_scene(PixelSegmenter(), scene, tmp_path / "map.png", products=products, report=silent)


def test_colours_come_from_the_names_or_a_file_and_go_into_a_style(tmp_path, write_geotiff):
    scene = write_geotiff("scene.tif", smooth_image(60, 60).transpose(2, 0, 1))
    segmenter = PixelSegmenter()
    segmenter.id2label = {0: "water", 1: "forest & wood", 2: "road"}
    first = segment_scene(segmenter, scene, tmp_path / "a.tif", products=MapProducts(style=True), report=silent).files
    with rasterio.open(first.classes) as dataset:
        blue = dataset.colormap(1)[0][:3]
    assert blue == (42, 129, 200) and first.style == tmp_path / "a.qml"
    style = first.style.read_text(encoding="utf-8")
    assert 'type="paletted"' in style and 'label="forest &amp; wood"' in style and 'color="#2a81c8"' in style

    chosen = {"Water": "#000102", "forest & wood": "#030405", "road": "#060708"}
    (tmp_path / "colors.json").write_text(json.dumps(chosen), encoding="utf-8")
    products = MapProducts(palette=tmp_path / "colors.json", style=True)
    second = segment_scene(segmenter, scene, tmp_path / "b.tif", products=products, report=silent).files
    expected = [(0, 1, 2), (3, 4, 5), (6, 7, 8)]
    with rasterio.open(second.classes) as dataset:
        assert [dataset.colormap(1)[index][:3] for index in range(3)] == expected
    assert read_palette(second.style, list(segmenter.id2label.values())) == expected
    assert read_palette(second.sidecar, list(segmenter.id2label.values())) == expected

    segmenter.id2label[2] = "street"
    with pytest.raises(ValueError, match="gives no colour for street; it has colours for Water, forest & wood, road"):
        segment_scene(segmenter, scene, tmp_path / "c.tif", products=products, report=silent)
    assert not list(tmp_path.glob("*c.*"))
