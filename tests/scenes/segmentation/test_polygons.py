"""Polygons of class maps: the same regions as the pixels, whatever the file and however it is read."""

import importlib.util
import json
import sqlite3
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from s5_hf.imaging.natural_colors import natural_palette
from s5_hf.imaging.palette_files import read_palette
from s5_hf.scenes.class_maps import open_class_map, sidecar_path
from s5_hf.scenes.segmentation.polygons import ground_area, trace_polygons, write_polygons

rasterio = pytest.importorskip("rasterio", reason='polygons need "s5_hf[geo]"')
rasterize = pytest.importorskip("rasterio.features").rasterize
shapely = pytest.importorskip("shapely", reason='polygons need "s5_hf[geo]"')
Affine, Polygon, shape = rasterio.Affine, shapely.Polygon, shapely.geometry.shape

LABELS = {"0": "soil", "1": "crop", "2": "water"}
# A ring of crop around water in soil, and a lone pixel of water.
RING = np.zeros((12, 16), dtype=np.uint8)
RING[2:10, 3:13] = 1
RING[4:8, 5:11] = 2
RING[11, 15] = 2


def write_geotiff(path: Path, ids: np.ndarray, **settings: object) -> Path:
    profile = {"driver": "GTiff", "width": ids.shape[1], "height": ids.shape[0], "count": 1, "dtype": ids.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        dataset = rasterio.open(path, "w", **{**profile, **settings})
    with dataset:
        dataset.write(ids, 1)
        dataset.update_tags(S5_ID2LABEL=json.dumps(LABELS))
    return path


def write_png(path: Path, ids: np.ndarray, labels: dict[str, str] | None = None) -> Path:
    Image.fromarray(ids).save(path)
    if labels:
        sidecar = {"format": "s5_hf scene result 1", "id2label": labels}
        sidecar_path(path).write_text(json.dumps(sidecar), encoding="utf-8")
    return path


def features(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["features"]


def test_regions_of_a_png_in_pixels(tmp_path):
    counts = write_polygons(write_png(tmp_path / "map.png", RING, LABELS), tmp_path / "map.geojson", simplify=0)
    assert counts == {"soil": 1, "crop": 1, "water": 2}
    collection = json.loads((tmp_path / "map.geojson").read_text(encoding="utf-8"))
    assert collection["coordinates"] == "pixels, x right, y down"
    by_area = {feature["properties"]["area"]: feature for feature in collection["features"]}
    crop = by_area[8 * 10 - 4 * 6]
    assert crop["properties"] == {"class_id": 1, "label": "crop", "area": 56.0}
    shell, hole = (Polygon(ring) for ring in crop["geometry"]["coordinates"])
    assert shell.bounds == (3, 2, 13, 10) and hole.bounds == (5, 4, 11, 8)
    assert len(crop["geometry"]["coordinates"][0]) == 5  # no corner on a straight side
    assert by_area[1]["properties"]["label"] == "water"


@settings(max_examples=60, deadline=None)
@given(
    ids=arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 9)), elements=st.integers(0, 2)),
    band_rows=st.integers(1, 6),
)
def test_polygons_cover_their_pixels_and_do_not_depend_on_the_bands(tmp_path_factory, ids, band_rows):
    path = write_png(tmp_path_factory.mktemp("map") / "map.png", ids)
    with open_class_map(path) as class_map:
        banded = list(trace_polygons(class_map, band_rows=band_rows))
        whole = list(trace_polygons(class_map, band_rows=len(ids)))
    assert all(region.outline.is_valid for region in banded)
    assert {(r.class_id, r.outline.normalize().wkt) for r in banded} == {
        (r.class_id, shapely.simplify(r.outline, 0).normalize().wkt) for r in whole
    }
    drawn = rasterize([(r.outline, r.class_id) for r in banded], out_shape=ids.shape, fill=9, dtype="uint8")
    np.testing.assert_array_equal(drawn, ids)


@settings(max_examples=40, deadline=None)
@given(
    ids=arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 25)), elements=st.integers(0, 3)),
    enlarged=st.integers(1, 5),
    band_rows=st.integers(1, 50),
    tolerance=st.sampled_from([0.5, 1.0, 2.5, 9.0]),
)
def test_simplified_regions_are_a_coverage(tmp_path_factory, ids, enlarged, band_rows, tolerance):
    ids = np.kron(ids, np.ones((enlarged, enlarged), np.uint8))[:60]
    with open_class_map(write_png(tmp_path_factory.mktemp("map") / "map.png", ids)) as class_map:
        regions = list(trace_polygons(class_map, band_rows=band_rows, tolerance=tolerance))
    outlines = np.array([region.simplified for region in regions])
    assert {outline.geom_type for outline in outlines} == {"Polygon"} and shapely.is_valid(outlines).all()
    assert shapely.coverage_is_valid(outlines)  # neighbours meet in the same corners: no gaps, no overlaps
    assert shapely.area(outlines).sum() == pytest.approx(ids.size)
    assert shapely.union_all(outlines).equals(shapely.box(0, 0, ids.shape[1], ids.shape[0]))
    exact = shapely.area([region.outline for region in regions])
    assert exact.tolist() == [round(area) for area in exact] and exact.sum() == ids.size


def test_neighbours_share_their_simplified_sides(real_imagery, tmp_path):
    path = real_imagery / "citymaps" / "val" / "masks" / "0193.png"
    with Image.open(path) as mask:
        ids = np.asarray(mask)
    with open_class_map(path) as class_map:
        regions = list(trace_polygons(class_map, band_rows=100, tolerance=1.5))
        chosen = list(trace_polygons(class_map, classes=[1], band_rows=100, tolerance=1.5))
    outlines = np.array([region.simplified for region in regions])
    assert shapely.coverage_is_valid(outlines) and shapely.area(outlines).sum() == pytest.approx(ids.size)
    exact = [region.outline for region in regions]
    assert shapely.get_num_coordinates(outlines).sum() < 0.5 * shapely.get_num_coordinates(exact).sum()
    # The neighbours count, whether they are written or not.
    assert [r.simplified.wkt for r in chosen] == [r.simplified.wkt for r in regions if r.class_id == 1]


def test_a_geopackage_carries_its_style(tmp_path):
    pytest.importorskip("pyogrio", reason='GeoPackage needs "s5_hf[geo]"')
    path = write_png(tmp_path / "map.png", RING, LABELS)
    write_polygons(path, tmp_path / "map.gpkg", classes=["water", "crop"])
    with sqlite3.connect(tmp_path / "map.gpkg") as database:
        query = "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        ((table, column, is_default, style),) = database.execute(query)
        kinds = dict(database.execute("SELECT table_name, data_type FROM gpkg_contents"))
    assert (table, column, is_default) == ("polygons", "geom", 1)
    assert kinds == {"polygons": "features", "layer_styles": "attributes"}
    (tmp_path / "style.qml").write_text(style, encoding="utf-8")
    assert read_palette(tmp_path / "style.qml", ["crop", "water"]) == natural_palette(list(LABELS.values()))[1:]


def test_real_masks_come_back_pixel_by_pixel(real_imagery, tmp_path):
    path = real_imagery / "citymaps" / "val" / "masks" / "0193.png"
    with Image.open(path) as mask:
        ids = np.asarray(mask)
    labels = ["other land", "building", "road", "park", "water"]
    write_polygons(path, tmp_path / "map.geojson", labels, classes=["building", "water"], simplify=0)
    shapes = [(shape(f["geometry"]), f["properties"]["class_id"]) for f in features(tmp_path / "map.geojson")]
    assert len(shapes) > 10 and all(outline.is_valid for outline, _ in shapes)
    drawn = rasterize(shapes, out_shape=ids.shape, fill=9, dtype="uint8")
    np.testing.assert_array_equal(drawn, np.where((ids == 1) | (ids == 4), ids, 9))


def test_geojson_holds_longitude_and_latitude_counter_clockwise(tmp_path):
    # EPSG:32633 has its central meridian at 15 degrees east, x = 500 km.
    transform = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    path = write_geotiff(tmp_path / "map.tif", RING, crs="EPSG:32633", transform=transform)
    write_polygons(path, tmp_path / "map.geojson", classes=["crop"], simplify=0)
    (crop,) = features(tmp_path / "map.geojson")
    assert crop["properties"]["area"] == pytest.approx(56 * 100)
    shell, hole = (shapely.LinearRing(ring) for ring in crop["geometry"]["coordinates"])
    assert shell.is_ccw and not hole.is_ccw
    longitude, latitude = np.array(shell.coords).T
    assert longitude.min() == pytest.approx(15 + 30 / 78_850, abs=2e-6)  # 30 m east; a degree is 78.85 km there
    assert latitude.max() == pytest.approx(45.1534 - 20 / 111_140, abs=1e-3)


def test_geopackage_keeps_the_crs_and_the_map_units(tmp_path):
    pyogrio = pytest.importorskip("pyogrio", reason='GeoPackage needs "s5_hf[geo]"')
    transform = Affine(0.5, 0, 400_000, 0, -0.5, 5_600_000)
    path = write_geotiff(tmp_path / "map.tif", RING, crs="EPSG:32633", transform=transform)
    counts = write_polygons(path, tmp_path / "map.gpkg", classes=["water", 0], minimum_area=0.3, simplify=0)
    assert counts == {"soil": 1, "water": 1}
    meta, _, geometry, fields = pyogrio.raw.read(tmp_path / "map.gpkg", layer="polygons")
    assert meta["crs"] == "EPSG:32633" and meta["fields"].tolist() == ["class_id", "label", "area"]
    rows = dict(zip(fields[1], zip(geometry, fields[2], strict=True), strict=True))
    outline, area = rows["water"]
    assert area == pytest.approx(24 * 0.25)
    assert shapely.from_wkb(outline).bounds == (400_002.5, 5_599_996.0, 400_005.5, 5_599_998.0)
    with sqlite3.connect(tmp_path / "map.gpkg") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["map.gpkg", "map.tif"]


def test_simplified_outlines_are_valid_and_near(tmp_path):
    rows, columns = np.mgrid[:90, :90]
    ids = ((np.hypot(rows - 45, columns - 45) < 40) & (np.hypot(rows - 45, columns - 50) > 20)).astype(np.uint8)
    ids ^= np.random.default_rng(0).random(ids.shape) < 0.01
    path = write_png(tmp_path / "map.png", ids, LABELS)
    write_polygons(path, tmp_path / "exact.geojson", simplify=0)
    write_polygons(path, tmp_path / "simple.geojson")
    exact, simple = (
        [shape(f["geometry"]) for f in features(tmp_path / f"{name}.geojson")] for name in ("exact", "simple")
    )
    assert all(outline.is_valid and not outline.is_empty for outline in simple)
    assert [len(outline.interiors) for outline in simple] == [len(outline.interiors) for outline in exact]
    assert shapely.get_num_coordinates(simple).sum() < 0.6 * shapely.get_num_coordinates(exact).sum()
    distances = [shapely.hausdorff_distance(a, b) for a, b in zip(exact, simple, strict=True)]
    assert 0.5 < max(distances) < 1.5  # the tolerance bounds areas of triangles, not distances


def test_nodata_and_small_regions_become_no_polygons(tmp_path):
    path = write_geotiff(tmp_path / "map.tif", RING, nodata=0, transform=Affine(2, 0, 0, 0, -2, 0))
    counts = write_polygons(path, tmp_path / "map.geojson", minimum_area=5)
    assert counts == {"soil": 0, "crop": 1, "water": 1}  # the lone pixel has 4 square units
    assert "without CRS" in json.loads((tmp_path / "map.geojson").read_text(encoding="utf-8"))["coordinates"]


def test_a_map_without_the_class_gives_an_empty_file(tmp_path):
    path = write_png(tmp_path / "map.png", np.zeros((4, 4), dtype=np.uint8), LABELS)
    assert write_polygons(path, tmp_path / "map.geojson", classes=["water"]) == {"water": 0}
    assert features(tmp_path / "map.geojson") == []
    pyogrio = pytest.importorskip("pyogrio", reason='GeoPackage needs "s5_hf[geo]"')
    assert write_polygons(path, tmp_path / "map.gpkg", classes=["water"]) == {"water": 0}
    assert pyogrio.read_info(tmp_path / "map.gpkg", layer="polygons")["features"] == 0


def test_ground_area_of_a_degree_cell():
    cell = Polygon([(10, 45), (11, 45), (11, 46), (10, 46)])
    assert ground_area(cell) == pytest.approx(8.6857e9, rel=0.007)  # on the WGS84 ellipsoid


def test_bad_requests(tmp_path):
    path = write_png(tmp_path / "map.png", RING, LABELS)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match="no class 'forest'; its classes: soil, crop, water"):
        write_polygons(path, tmp_path / "a.geojson", classes=["forest"])
    with pytest.raises(ValueError, match="no class 7; its classes: 0 soil, 1 crop, 2 water"):
        write_polygons(path, tmp_path / "a.geojson", classes=[7])
    with pytest.raises(ValueError, match=r"\.geojson, \.gpkg, got .*a\.shp"):
        write_polygons(path, tmp_path / "a.shp")
    with pytest.raises(ValueError, match="minimum_area must not be negative, got -1"):
        write_polygons(path, tmp_path / "a.geojson", minimum_area=-1)
    with pytest.raises(FileNotFoundError, match=r"no class map .*absent\.png"):
        write_polygons(tmp_path / "absent.png", tmp_path / "a.geojson")
    assert sorted(tmp_path.iterdir()) == before


def test_rasters_that_are_no_class_maps(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "picture.png")
    with pytest.raises(ValueError, match=r"picture\.png is not a class map: it is a RGB picture"):
        write_polygons(tmp_path / "picture.png", tmp_path / "a.geojson")
    write_geotiff(tmp_path / "height.tif", np.ones((4, 4), dtype=np.float32))
    with pytest.raises(ValueError, match=r"1 band\(s\) of float32, expected one band of class ids"):
        write_polygons(tmp_path / "height.tif", tmp_path / "a.geojson")
    write_geotiff(tmp_path / "low.tif", np.full((4, 4), -3, dtype=np.int16))
    with pytest.raises(ValueError, match=r"holds the value -3, expected class ids"):
        write_polygons(tmp_path / "low.tif", tmp_path / "a.geojson")
    (tmp_path / "text.tif").write_text("no picture", encoding="utf-8")
    with pytest.raises(OSError, match=r"text\.tif cannot be read"):
        write_polygons(tmp_path / "text.tif", tmp_path / "a.geojson")
    damaged = write_png(tmp_path / "damaged.png", RING)
    sidecar_path(damaged).write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"damaged\.json.*is not JSON"):
        write_polygons(damaged, tmp_path / "a.geojson")
    assert not list(tmp_path.glob("*.geojson")) and not list(tmp_path.glob(".*"))


def test_names_of_a_png_without_sidecar_come_from_its_text(tmp_path):
    text = PngInfo()
    text.add_text("S5_ID2LABEL", json.dumps(LABELS))
    Image.fromarray(RING).save(tmp_path / "map.png", pnginfo=text)
    assert write_polygons(tmp_path / "map.png", tmp_path / "a.geojson") == {"soil": 1, "crop": 1, "water": 2}


def test_missing_packages_are_named(tmp_path, monkeypatch):
    path = write_png(tmp_path / "map.png", RING)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyogrio" else find_spec(name))
    with pytest.raises(ImportError, match=r'pyogrio.*pip install "s5_hf\[geo\]"'):
        write_polygons(path, tmp_path / "a.gpkg")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'rasterio, shapely.*pip install "s5_hf\[geo\]"'):
        write_polygons(path, tmp_path / "a.geojson")


def test_an_interrupted_run_keeps_the_older_file(tmp_path, monkeypatch):
    path = write_png(tmp_path / "map.png", RING, LABELS)
    (tmp_path / "map.geojson").write_text("older", encoding="utf-8")

    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("s5_hf.scenes.segmentation.polygons._write_batch", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_polygons(path, tmp_path / "map.geojson")
    assert (tmp_path / "map.geojson").read_text(encoding="utf-8") == "older"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["map.geojson", "map.json", "map.png"]
