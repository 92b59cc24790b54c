"""One map from many, with blended borders."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.scenes.segmentation import write_mosaic
from s5_hf.scenes.viewer import write_viewer

rasterio = pytest.importorskip("rasterio", reason="a mosaic needs rasterio (the extra geo)")
Affine = rasterio.Affine

LABELS = {"0": "water", "1": "road"}


@pytest.fixture
def write_map(write_geotiff):
    """Write class ids, or probabilities (bands, height, width), from a column and a row of a common grid of 2 m."""

    def write(name, ids, column=0, row=0, crs="EPSG:32633", labels=LABELS, side=2.0):
        transform = Affine(side, 0, 400_000 + 2 * column, 0, -side, 5_600_000 - 2 * row)
        bands = np.asarray(ids, dtype=np.uint8)
        path = write_geotiff(name, bands if bands.ndim == 3 else bands[None], crs, transform, nodata=255)
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(S5_ID2LABEL=json.dumps(labels))
        return path

    return write


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def silent(line):
    pass


def test_maps_meet_in_the_middle_of_their_overlap(tmp_path, write_map):
    one = write_map("one.tif", np.zeros((20, 30)))
    two = write_map("two.tif", np.ones((20, 30)), column=20, row=5)
    areas = write_mosaic([one, two], tmp_path / "all.tif", blend=50, report=silent)
    classes = read(tmp_path / "all.tif")
    assert classes.shape == (25, 50)
    assert (classes[:5, :30] == 0).all() and (classes[20:, 20:] == 1).all()
    assert (classes[:5, 30:] == 255).all() and (classes[20:, :20] == 255).all()
    assert classes[12].tolist() == [0] * 25 + [1] * 25  # ten columns in common, five for each
    assert [area.pixels for area in areas] == [(classes == 0).sum(), (classes == 1).sum()]
    assert areas[0].square_metres == areas[0].pixels * 4
    with rasterio.open(tmp_path / "all.tif") as dataset:
        assert dataset.transform == Affine(2, 0, 400_000, 0, -2, 5_600_000) and dataset.crs.to_epsg() == 32633
        assert dataset.colormap(1)[0][:3] == (42, 129, 200)
    sidecar = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert sidecar["sources"] == ["one.tif", "two.tif"] and sidecar["areas"][1]["label"] == "road"


def test_probabilities_count_where_all_maps_have_them(tmp_path, write_map):
    sure = np.stack([np.full((20, 40), 230), np.full((20, 40), 24)])
    unsure = np.stack([np.full((20, 40), 120), np.full((20, 40), 134)])
    one, two = write_map("one.tif", np.zeros((20, 40))), write_map("two.tif", np.ones((20, 40)), column=10)
    write_map("one_probabilities.tif", sure)
    lines = []
    write_mosaic([one, two], tmp_path / "votes.tif", blend=10, report=lines.append)
    write_map("two_probabilities.tif", unsure, column=10)
    write_mosaic([one, two], tmp_path / "means.tif", blend=10, report=lines.append)
    assert "by their classes" in lines[0] and "by their probabilities" in lines[1]
    assert (read(tmp_path / "votes.tif")[10] == 1).sum() < 30
    # 230 w + 120 v > 24 w + 134 v wherever the first has a fifteenth of the weight of the second.
    assert (read(tmp_path / "means.tif")[10] == 1).sum() == 10


def test_pixels_without_data_leave_the_place_to_others(tmp_path, write_map):
    holed = np.zeros((40, 40))
    holed[10:30, 10:30] = 255
    one, two = write_map("one.tif", holed), write_map("two.tif", np.ones((40, 40)))
    write_mosaic([one, two], tmp_path / "all.tif", report=silent)
    classes = read(tmp_path / "all.tif")
    assert (classes[10:30, 10:30] == 1).all() and classes[9, 20] == 1 and classes[1, 1] == 0
    assert not (classes == 255).any()


def test_blocks_of_rows_do_not_show(tmp_path, write_map, monkeypatch):
    generator = np.random.default_rng(0)
    one = write_map("one.tif", generator.integers(0, 2, (60, 50)))
    two = write_map("two.tif", generator.integers(0, 2, (60, 50)), column=15, row=20)
    write_mosaic([one, two], tmp_path / "whole.tif", blend=12, report=silent)
    monkeypatch.setattr("s5_hf.scenes.segmentation.mosaic.BLOCK_SIDE", 16)
    write_mosaic([one, two], tmp_path / "blocks.tif", blend=12, cloud_optimized=True, report=silent)
    np.testing.assert_array_equal(read(tmp_path / "whole.tif"), read(tmp_path / "blocks.tif"))
    with rasterio.open(tmp_path / "blocks.tif") as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_another_grid_is_resampled_and_said(tmp_path, write_map):
    one = write_map("one.tif", np.zeros((20, 20)))
    coarse = write_map("coarse.tif", np.ones((10, 10)), column=20, side=4.0)
    lines = []
    write_mosaic([one, coarse], tmp_path / "all.tif", report=lines.append)
    assert any("coarse.tif lies on another grid (EPSG:32633)" in line for line in lines)
    assert (read(tmp_path / "all.tif") == np.repeat([[0] * 20 + [1] * 20], 20, axis=0)).all()

    with rasterio.open(one) as dataset:
        west, south, east, north = rasterio.warp.transform_bounds("EPSG:32633", "EPSG:4326", *dataset.bounds)
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": 255, "crs": "EPSG:4326"}
    degrees = rasterio.transform.from_bounds(west, south, east, north, 30, 20)
    with rasterio.open(tmp_path / "degrees.tif", "w", width=30, height=20, transform=degrees, **profile) as dataset:
        dataset.write(np.ones((1, 20, 30), np.uint8))
        dataset.update_tags(S5_ID2LABEL=json.dumps(LABELS))
    lines.clear()
    write_mosaic([one, tmp_path / "degrees.tif"], tmp_path / "warped.tif", report=lines.append)
    assert any("degrees.tif lies on another grid (EPSG:4326)" in line for line in lines)
    assert set(np.unique(read(tmp_path / "warped.tif"))) <= {0, 1, 255}


def test_bad_requests(tmp_path, write_map):
    one, two = write_map("one.tif", np.zeros((9, 9))), write_map("two.tif", np.ones((9, 9)))
    other = write_map("other.tif", np.ones((9, 9)), labels={"0": "road", "1": "water"})
    nowhere = write_map("nowhere.tif", np.ones((9, 9)), crs=None)
    with pytest.raises(ValueError, match=r"other\.tif has the classes road, water, .*one\.tif has water, road"):
        write_mosaic([one, other], tmp_path / "all.tif")
    with pytest.raises(ValueError, match=r"nowhere\.tif has no CRS"):
        write_mosaic([one, nowhere], tmp_path / "all.tif")
    with pytest.raises(ValueError, match="two maps or more"):
        write_mosaic([one], tmp_path / "all.tif")
    with pytest.raises(ValueError, match="would replace"):
        write_mosaic([one, two], two, overwrite=True)
    with pytest.raises(FileNotFoundError, match=r"absent\.tif"):
        write_mosaic([one, tmp_path / "absent.tif"], tmp_path / "all.tif")
    assert not (tmp_path / "all.tif").exists() and not list(tmp_path.glob(".*"))


def test_command(tmp_path, write_map):
    one, two = write_map("one.tif", np.zeros((9, 9))), write_map("two.tif", np.ones((9, 9)), column=5)
    arguments = ["mosaic", str(one), str(two), str(tmp_path / "all.tif")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "road" in result.output and "all.tif" in result.output
    with pytest.raises(FileExistsError, match=r"all\.tif exists already"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert write_viewer(tmp_path / "all.tif", image=tmp_path / "all.tif", bands=[1, 1, 1]).path.is_file()
