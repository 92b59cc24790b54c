"""`trace_roads`: files of a scene, whole or not at all."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from s5_hf.modeling import S5ImageProcessor, S5ViTConfig, SamRoadConfig, SamRoadForRoadGraph
from s5_hf.roads.graphs import read_graph
from s5_hf.scenes.roads import RoadProducts, RoadSettings, trace_roads
from tests.scenes.road_networks import PaintedRoads
from tests.scenes.roads.parts import SETTINGS, painted_scene


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "city.png"
    Image.fromarray(painted_scene()).save(path)
    return path


@pytest.fixture(scope="module")
def tiny_model():
    torch.manual_seed(0)
    vit = S5ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=64)
    return SamRoadForRoadGraph(
        SamRoadConfig(vit, feature_channels=16, topology_channels=16, topology_heads=2, neighbor_radius=32)
    )


def trace(source, output, network=None, settings=SETTINGS, **options):
    return trace_roads(network or PaintedRoads(), source, output, settings, progress=False, **options)


def test_roads_of_a_picture_are_in_pixels(picture, tmp_path):
    lines = []
    traced = trace(picture, tmp_path / "roads.geojson", report=lines.append)
    content = json.loads((tmp_path / "roads.geojson").read_text(encoding="utf-8"))
    assert content["coordinates"] == "pixels, x right, y down"
    assert len(content["features"]) == len(traced.graph.chains()) > 5
    found = np.concatenate([feature["geometry"]["coordinates"] for feature in content["features"]])
    assert [60.5, 40.5] in found.tolist()  # the middle of the pixel
    confidences = [feature["properties"]["confidence"] for feature in content["features"]]
    assert all(0.85 < confidence <= 1 for confidence in confidences)
    assert any("has no CRS: coordinates are pixels" in line for line in lines)
    assert not list(tmp_path.glob(".*"))


def test_roads_of_a_map_are_in_its_crs(write_geotiff, tmp_path):
    pytest.importorskip("pyogrio", reason="GeoPackage needs pyogrio (the extra geo)")
    import pyogrio

    scene = write_geotiff("scene.tif", painted_scene().transpose(2, 0, 1))
    trace(scene, tmp_path / "roads.gpkg", report=lambda line: None)
    info = pyogrio.read_info(tmp_path / "roads.gpkg")
    assert (info["crs"], info["geometry_type"]) == ("EPSG:32633", "LineString")
    assert {"confidence", "length"} <= set(info["fields"])
    found = read_graph(tmp_path / "roads.gpkg").nodes
    assert [390000 + 60.5 / 2, 5820000 - 40.5 / 2] in found.tolist()


def test_further_files(picture, tmp_path):
    pytest.importorskip("networkx", reason="GraphML needs networkx (the extra graphs)")
    products = RoadProducts(overlay=True, graphml=True, simplify=0)
    traced = trace(picture, tmp_path / "roads.geojson", products=products)
    assert sorted(traced.files) == ["graphml", "overlay", "roads"]
    assert len(read_graph(tmp_path / "roads.graphml").edges) == len(traced.graph.edges)
    overlay = np.asarray(Image.open(tmp_path / "roads_overlay.png"))
    assert overlay.shape[0] >= 160 and overlay.shape[1] > 200
    assert (overlay[:160, :200] == (255, 214, 10)).all(axis=2).sum() > 100  # sure roads are yellow


def test_simpler_roads_have_fewer_nodes_and_the_same_ends(picture, tmp_path):
    full = trace(picture, tmp_path / "a.geojson", products=RoadProducts(simplify=0)).graph
    simple = trace(picture, tmp_path / "b.geojson", products=RoadProducts(simplify=3)).graph
    pruned = trace(picture, tmp_path / "c.geojson", products=RoadProducts(simplify=0, prune=15)).graph
    assert len(simple.nodes) < len(full.nodes) / 3
    assert len(simple.chains()) == len(full.chains())
    assert len(pruned.chains()) < len(full.chains())
    assert [154.5, 40.5] in pruned.nodes.tolist()


def test_an_interrupted_run_is_kept_and_resumed(picture, tmp_path):
    output, lines = tmp_path / "roads.geojson", []
    settings = replace(SETTINGS, batch_size=2)
    Image.fromarray(painted_scene(height=300)).save(picture)
    with pytest.raises(KeyboardInterrupt):
        trace(picture, output, PaintedRoads(35), settings, report=lines.append)
    assert not output.exists()
    assert "holds the finished windows" in lines[-1]
    trace(picture, output, PaintedRoads(), settings, resume=True, report=lines.append)
    assert any(line.startswith("resuming after window") for line in lines)
    trace(picture, tmp_path / "other.geojson", PaintedRoads(), settings)
    assert output.read_bytes() == (tmp_path / "other.geojson").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_a_model_with_its_own_settings(tiny_model, picture, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model")
    S5ImageProcessor().save_pretrained(tmp_path / "model")
    settings = {"window": 64, "batch_size": 8, "road_threshold": 0.5, "topology_threshold": 0.0}
    traced = trace(picture, tmp_path / "roads.geojson", tmp_path / "model", settings)
    assert len(traced.graph.edges) and (traced.confidence > 0).all()
    with pytest.raises(ValueError, match="neighbours up to 32 pixels"):
        trace(picture, tmp_path / "b.geojson", tiny_model, {"window": 32})


def test_what_is_wrong_is_found_before_the_work(tiny_model, picture, tmp_path):
    network = PaintedRoads(0)  # which would be interrupted
    with pytest.raises(ValueError, match=r"road graphs are in files .*\.gpkg.*, got .*roads\.shp"):
        trace(picture, tmp_path / "roads.shp", network)
    with pytest.raises(IsADirectoryError):
        (tmp_path / "roads.gpkg").mkdir()
        trace(picture, tmp_path / "roads.gpkg", network)
    (tmp_path / "there.geojson").write_text("{}")
    with pytest.raises(FileExistsError, match=r"there\.geojson exists already"):
        trace(picture, tmp_path / "there.geojson", network)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.tif is not a file"):
        trace(tmp_path / "nowhere.tif", tmp_path / "a.geojson", network)
    with pytest.raises(ValueError, match="simplify must be a number of pixels"):
        RoadProducts(simplify=-1)
    with pytest.raises(ValueError, match="is a model of the type 's5_vit'; roads need a model of road graphs"):
        trace(picture, tmp_path / "a.geojson", tiny_model.backbone)


def test_a_sam_takes_windows_of_its_size_only(picture, tmp_path):
    from transformers import SamVisionConfig

    vision = SamVisionConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, mlp_dim=8, image_size=64, output_channels=16
    )
    config = SamRoadConfig(vision, feature_channels=16, topology_channels=16, topology_heads=2, neighbor_radius=24)
    model = SamRoadForRoadGraph(config)
    with pytest.raises(ValueError, match="takes windows of 64 pixels only, got 128"):
        trace(picture, tmp_path / "a.geojson", model, {"window": 128})
    small = tmp_path / "small.png"
    Image.fromarray(painted_scene(40, 50)).save(small)
    traced = trace(small, tmp_path / "a.geojson", model, {"road_threshold": 0.3, "topology_threshold": 0.0})
    assert (traced.graph.nodes <= [50, 40]).all()


def test_the_defaults_are_the_recipe_s(tiny_model):
    assert RoadSettings() == RoadSettings.chosen(
        {name: getattr(SamRoadConfig(), name) for name in ("road_threshold", "keypoint_spacing", "max_neighbors")}
    )
