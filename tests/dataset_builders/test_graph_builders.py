"""Datasets of road graphs."""

import json

import numpy as np
import pytest
from datasets import load_dataset

from s5_hf.dataset_builders.errors import LayoutError, SampleError


def load(name, folder, split="train", config=None, **options):
    return list(load_dataset(name, config, data_dir=str(folder), split=split, streaming=True, **options))


def write_lines(path, *lines, **members):
    path.parent.mkdir(parents=True, exist_ok=True)
    features = [{"type": "Feature", "geometry": {"type": "LineString", "coordinates": line}} for line in lines]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **members}))


def test_images_and_lines_give_graphs(tmp_path, write_image):
    for split in ("train", "val"):
        write_image(tmp_path / split / "images" / "b" / "a.png", size=(32, 24))
        write_lines(tmp_path / split / "lines" / "b" / "a.geojson", [[0, 0], [30, 20]], [[30, 20], [32, 24]])
    (sample,) = load("s5-image-graph", tmp_path, "val")
    assert sample["id"] == "b/a" and sample["image"].size == (32, 24)
    assert sample["nodes"] == [[0, 0], [30, 20], [32, 24]] and sample["edges"] == [[0, 1], [1, 2]]
    (loaded,) = load_dataset("s5-image-graph", data_dir=str(tmp_path), split="train")
    assert loaded["edges"] == [[0, 1], [1, 2]]


def test_an_image_without_roads_gives_an_empty_graph(tmp_path, write_image):
    write_image(tmp_path / "images" / "a.png")
    write_lines(tmp_path / "lines" / "a.geojson")
    (sample,) = load("s5-image-graph", tmp_path)
    assert sample["nodes"] == [] and sample["edges"] == []


def test_lines_of_a_georeferenced_image_are_in_longitude_and_latitude(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.warp import transform

    place = rasterio.Affine(2, 0, 400_000, 0, -2, 5_700_000)
    (tmp_path / "images").mkdir()
    with rasterio.open(
        tmp_path / "images" / "a.tif",
        "w",
        width=64,
        height=64,
        count=3,
        dtype="uint8",
        crs="EPSG:32632",
        transform=place,
    ) as file:
        file.write(np.zeros((3, 64, 64), dtype=np.uint8))
    degrees = np.stack(transform("EPSG:32632", "EPSG:4326", [400_010, 400_110], [5_699_990, 5_699_900]), axis=1)
    write_lines(tmp_path / "lines" / "a.geojson", degrees.tolist())
    (sample,) = load("s5-image-graph", tmp_path)
    assert np.allclose(sample["nodes"], [[5, 5], [55, 50]], atol=1e-3)
    write_lines(tmp_path / "lines" / "a.geojson", degrees[:, ::-1].tolist())
    with pytest.raises(SampleError, match=r"a.geojson: no part lies on the image"):
        load("s5-image-graph", tmp_path)


def test_what_is_missing_or_beyond_the_image_is_named(tmp_path, write_image):
    write_image(tmp_path / "images" / "a.png", size=(32, 24))
    with pytest.raises(LayoutError, match=r"lines/NAME.geojson"):
        load("s5-image-graph", tmp_path)
    write_lines(tmp_path / "lines" / "a.geojson", [[100, 100], [120, 100]])
    with pytest.raises(SampleError, match=r"a.geojson: no part lies on the image of 32 x 24 px"):
        load("s5-image-graph", tmp_path)
