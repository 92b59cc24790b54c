"""STAC items in and out."""

import json

import numpy as np
import pytest

from s5_hf.scenes import MapProducts, SceneReading, open_scene, segment_scene
from s5_hf.scenes.stac import item_asset
from tests.scenes.conftest import smooth_image
from tests.scenes.segmenters import PixelSegmenter

pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio (the extra geo)")


def write_item(path, **assets):
    path.write_text(json.dumps({"type": "Feature", "stac_version": "1.0.0", "assets": assets}), encoding="utf-8")
    return path


def image(href, *roles, kind="image/tiff; application=geotiff; profile=cloud-optimized"):
    return {"href": href, "type": kind, "roles": list(roles)}


def test_a_scene_may_be_an_item(tmp_path, write_geotiff):
    pixels = smooth_image(40, 50).transpose(2, 0, 1)
    write_geotiff("data/city.tif", pixels)
    item = write_item(tmp_path / "item.json", thumbnail=image("t.png", "thumbnail", kind="image/png"),
                      red=image("./data/city.tif", "data"))  # fmt: skip
    with open_scene(item) as scene:
        np.testing.assert_array_equal(scene.read_rows(0, 40)[0], pixels)
        assert scene.crs.to_epsg() == 32633
    result = segment_scene(
        PixelSegmenter(), item, tmp_path / "maps", products=MapProducts(stac=True), report=lambda line: None
    )
    assert result.files.classes == tmp_path / "maps" / "item.tif"
    made = json.loads((tmp_path / "maps" / "item_stac.json").read_text(encoding="utf-8"))
    assert made["id"] == "item" and made["stac_version"] == "1.1.0" and made["links"] == []
    assert made["properties"]["proj:code"] == "EPSG:32633" and made["properties"]["proj:shape"] == [40, 50]
    assert made["properties"]["proj:transform"] == [0.5, 0, 390000, 0, -0.5, 5820000]
    west, south, east, north = made["bbox"]
    assert 13 < west < east < 13.5 and 52 < south < north < 53  # metres of UTM zone 33: Berlin
    ring = made["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1] and len(ring) == 5
    asset = made["assets"]["classes"]
    assert asset["classification:classes"][0] == {
        "value": 0, "name": "class_0", "title": "class 0", "color_hint": "E69F00"
    }  # fmt: skip
    assert item_asset(result.files.stac) == str(tmp_path / "maps" / "item.tif")


def test_the_image_of_an_item(tmp_path):
    several = write_item(tmp_path / "a.json", red=image("r.tif", "data"), nir=image("https://server/n.tif", "data"))
    assert item_asset(several, "nir") == "https://server/n.tif"
    with pytest.raises(ValueError, match=r"a\.json has several images, or none; choose an asset .* of: red, nir"):
        item_asset(several)
    with pytest.raises(ValueError, match=r"no asset 'swir'; it has: red, nir"):
        item_asset(several, "swir")
    visual = write_item(tmp_path / "b.json", a=image("a.tif"), b=image("b.tif", "visual"))
    assert item_asset(visual) == str(tmp_path / "b.tif")


def test_files_that_are_no_items(tmp_path):
    for text in ("{", "[]", "{}", '{"stac_version": "1.0.0", "assets": {"a": 3}}'):
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"a\.json is not"):
            item_asset(tmp_path / "a.json")
    item = write_item(tmp_path / "a.json", a=image("absent.tif"))
    missing = r"absent\.tif, which the STAC item points to, is not a file"
    with pytest.raises(FileNotFoundError, match=missing), open_scene(item, reading=SceneReading(asset="a")):
        pass
