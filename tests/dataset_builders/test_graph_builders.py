"""Datasets of road graphs."""

import json
import pickle

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
    with pytest.raises(SampleError, match=r"a.geojson: no part lies on the image.*if the first and second coord"):
        load("s5-image-graph", tmp_path)


def test_what_is_missing_or_beyond_the_image_is_named(tmp_path, write_image):
    write_image(tmp_path / "images" / "a.png", size=(32, 24))
    with pytest.raises(LayoutError, match=r"lines/NAME.geojson"):
        load("s5-image-graph", tmp_path)
    write_lines(tmp_path / "lines" / "a.geojson", [[100, 100], [120, 100]])
    with pytest.raises(SampleError, match=r"a.geojson: no part lies on the image of 32 x 24 px"):
        load("s5-image-graph", tmp_path)


def write_pickle(path, graph):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(graph))


def write_region(folder, number, write_image):
    write_image(folder / f"region_{number}_sat.png", size=(8, 8))
    write_pickle(folder / f"region_{number}_refine_gt_graph.p", {(1, 2): [(3, number % 8)]})
    write_pickle(folder / f"region_{number}_graph_gt.pickle", {(0, 0): [(7, 7)]})


def test_regions_of_city_scale_have_their_splits(tmp_path, write_image):
    for number in (0, 7, 8, 9, 17, 18, 19, 28, 38):
        write_region(tmp_path / "20cities", number, write_image)
    splits = {
        split: [sample["id"] for sample in load("s5-cityscale-roads", tmp_path, split)]
        for split in ("train", "val", "test")
    }
    assert splits == {
        "train": ["region_0", "region_17", "region_7"],
        "val": ["region_18", "region_38"],
        "test": ["region_19", "region_28", "region_8", "region_9"],
    }
    first = load("s5-cityscale-roads", tmp_path)[0]
    assert first["nodes"] == [[2, 1], [0, 3]] and first["edges"] == [[0, 1]]
    assert load("s5-cityscale-roads", tmp_path, config="original")[0]["nodes"] == [[0, 0], [7, 7]]


@pytest.mark.parametrize("folder", ["", "train/"])
def test_regions_of_global_scale_have_their_splits(tmp_path, write_image, folder):
    for number in (0, 2374, 2375, 2713, 2714, 3337):
        write_region(tmp_path / "Global-Scale" / folder, number, write_image)
    for number in (0, 129):
        write_region(tmp_path / "Global-Scale" / "out_of_domain", number, write_image)
    found = {
        split: [sample["id"] for sample in load("s5-global-scale", tmp_path, split)]
        for split in ("train", "val", "test", "test_out_of_domain")
    }
    assert found == {
        "train": [f"{folder}region_0", f"{folder}region_2374"],
        "val": [f"{folder}region_2375", f"{folder}region_2713"],
        "test": [f"{folder}region_2714", f"{folder}region_3337"],
        "test_out_of_domain": ["out_of_domain/region_0", "out_of_domain/region_129"],
    }


def test_folders_of_global_scale_may_count_anew(tmp_path, write_image):
    write_region(tmp_path / "train", 3, write_image)
    write_region(tmp_path / "in-domain-test", 3, write_image)
    assert [sample["id"] for sample in load("s5-global-scale", tmp_path, "test")] == ["in-domain-test/region_3"]


def test_graphs_of_spacenet_count_rows_from_below(tmp_path, write_image):
    folder = tmp_path / "RGB_1.0_meter"
    for name in ("AOI_2_1", "AOI_2_2"):
        write_image(folder / f"{name}__rgb.png", size=(40, 40))
        write_pickle(folder / f"{name}__gt_graph.p", {(0.0, 5.0): [(40.0, 10.0)]})
    lists = {"train": ["AOI_2_2"], "validation": ["AOI_2_1"], "test": []}
    with pytest.raises(LayoutError, match=r"has no dataset.json, which names the ids"):
        load("s5-spacenet-roads", tmp_path, config="graphs")
    (folder / "dataset.json").write_text(json.dumps(lists))
    (sample,) = load("s5-spacenet-roads", tmp_path, "val", config="graphs")
    assert sample["id"] == "AOI_2_1" and sample["nodes"] == [[5, 40], [10, 0]]
    with pytest.raises(LayoutError, match=r"holds road graphs, not masks; load them with load_dataset\(.*'graphs'"):
        load("s5-spacenet-roads", tmp_path)
    (folder / "dataset.json").write_text(json.dumps({"train": ["AOI_9_9"]}))
    with pytest.raises(LayoutError, match=r"has no file AOI_9_9__rgb.png, which dataset.json names for train"):
        load("s5-spacenet-roads", tmp_path, config="graphs")
    (folder / "dataset.json").write_text(json.dumps({"train": [1]}))
    with pytest.raises(SampleError, match="expected an object with lists of ids"):
        load("s5-spacenet-roads", tmp_path, config="graphs")


def test_a_malicious_graph_of_a_dataset_is_refused(tmp_path, write_image):
    write_region(tmp_path, 0, write_image)
    (tmp_path / "region_0_refine_gt_graph.p").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(SampleError, match=r"region_0_refine_gt_graph.p was refused: it holds the name os.system"):
        load("s5-cityscale-roads", tmp_path)


def test_masks_of_irsamap_hold_codes(tmp_path, write_image):
    codes = np.array([[0, 10, 11, 12], [21, 22, 23, 24], [31, 32, 34, 0]], dtype=np.uint8)
    write_image(tmp_path / "train" / "image" / "1.png", size=(4, 3))
    write_image(tmp_path / "train" / "SegLabel_rvwsb" / "1.png", codes)
    write_image(tmp_path / "train" / "label_building" / "1.png", codes)
    (sample,) = load("s5-irsamap", tmp_path)
    assert np.asarray(sample["mask"]).tolist() == [[255, 0, 1, 2], [3, 4, 5, 6], [7, 8, 9, 255]]
    with pytest.raises(LayoutError, match=r"SegLabel_vwsbr/NAME.png"):
        load("s5-irsamap", tmp_path, config="road_on_top")
    codes[0, 0] = 40
    write_image(tmp_path / "train" / "SegLabel_rvwsb" / "1.png", codes)
    with pytest.raises(SampleError, match=r"1.png: mask values \[40\] stand for no class"):
        load("s5-irsamap", tmp_path)


def test_inspection_counts_roads_and_names_nodes_beyond_the_image(tmp_path, write_image):
    from s5_hf.data import draw_sheet, inspect_folder, open_folder

    for number in range(3):
        write_region(tmp_path, number, write_image)
    write_pickle(tmp_path / "region_1_refine_gt_graph.p", {(1, 2): [(30, 2)]})
    write_pickle(tmp_path / "region_2_refine_gt_graph.p", {})
    folder = open_folder("s5-cityscale-roads", tmp_path)
    report = inspect_folder(folder)
    assert (report.splits[0].edges, report.splits[0].without_roads) == (2, 1)
    assert [(problem.kind, problem.place) for problem in report.problems] == [("node outside", "region_1")]
    assert "1 of 2 nodes beyond 8 x 8 px, first at [2.0, 30.0]" in report.problems[0].message
    colors = np.asarray(draw_sheet(folder).convert("RGB")).reshape(-1, 3)
    assert (colors == (255, 140, 0)).all(axis=1).sum() > 100
