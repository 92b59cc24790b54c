"""Objects of whole scenes: the files, the command line, interruptions and every wrong input."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.evaluation.detection.protocol import DetectionProtocol
from s5_hf.modeling import S5ForOrientedObjectDetection, S5ForSemanticSegmentation, S5ImageProcessor, S5ViTModel
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_corners
from s5_hf.modeling.rotated_iou import elementwise_rotated_iou
from s5_hf.predictors import TorchDetector, load_detector
from s5_hf.predictors.image_probabilities import NonFiniteOutputError
from s5_hf.scenes import SceneReading
from s5_hf.scenes.detection import (
    TileSettings,
    detect_scene,
    detect_scenes,
    read_coco_detections,
    read_task1_results,
)
from s5_hf.scenes.detection.tile_detection import tile_grid
from tests.conftest import micro_segmentation_config
from tests.modeling.detection_models import micro_detection_config
from tests.scenes.detectors import OracleDetector, match, position_image, scattered_boxes

TILES = TileSettings(tile=256, overlap=0.375, batch_size=3, threshold=0.1)
SHIP = torch.tensor([[60.0, 40.0, 50.0, 14.0, 0.4], [100.0, 90.0, 30.0, 12.0, -1.0]])


def test_files_of_a_picture(tmp_path):
    Image.fromarray(position_image(120, 160)).save(tmp_path / "port.png")
    notes = []
    found = detect_scene(
        OracleDetector(SHIP, torch.tensor([0, 1])),
        tmp_path / "port.png",
        tmp_path / "found",
        formats=("geojson", "overlay", "dota"),
        progress=False,
        report=notes.append,
    )
    assert found.counts() == {"ship": 1, "car": 1} and found.stem == "port"
    names = {path.relative_to(tmp_path / "found").as_posix() for path in (tmp_path / "found").rglob("*.*")}
    dota = {"Task1/Task1_ship.txt", "Task1/Task1_car.txt"}
    assert names == {"port.json", "port.geojson", "port_overlay.png", *dota}

    coco = json.loads((tmp_path / "found" / "port.json").read_text(encoding="utf-8"))
    assert coco["images"] == [{"id": 0, "file_name": "../port.png", "width": 160, "height": 120}]
    assert [category["name"] for category in coco["categories"]] == ["ship", "car"]
    annotation = coco["annotations"][0]
    corners = oriented_boxes_to_corners(SHIP[:1].double())[0]
    assert annotation["segmentation"][0] == pytest.approx(corners.flatten().tolist(), abs=1e-3)
    low, high = corners.amin(dim=0), corners.amax(dim=0)
    assert annotation["bbox"] == pytest.approx([*low.tolist(), *(high - low).tolist()], abs=1e-3)
    assert (annotation["area"], annotation["category_id"]) == (pytest.approx(700, rel=1e-5), 0)
    again = read_coco_detections(tmp_path / "found" / "port.json")
    assert torch.allclose(again.boxes, found.boxes, atol=1e-4) and again.class_names == ("ship", "car")
    assert torch.allclose(again.scores, found.scores, atol=1e-6) and again.labels.tolist() == found.labels.tolist()

    geojson = json.loads((tmp_path / "found" / "port.geojson").read_text(encoding="utf-8"))
    assert "crs" not in geojson and geojson["coordinates"] == "pixels, x right, y down"
    assert any("has no CRS: coordinates are pixels" in note for note in notes) and found.notes == notes
    ring = np.array(geojson["features"][0]["geometry"]["coordinates"][0])
    assert ring.shape == (5, 2) and np.allclose(sorted(ring[:4].tolist()), sorted(corners.tolist()), atol=1e-3)
    assert geojson["features"][0]["properties"]["label"] == "ship"

    task1 = read_task1_results(tmp_path / "found" / "Task1", ("ship", "car"))["port"]
    assert elementwise_rotated_iou(task1["boxes"], found.boxes).min() > 0.999
    overlay = np.asarray(Image.open(tmp_path / "found" / "port_overlay.png"))
    assert overlay.shape[0] == 120 and overlay.shape[1] > 160
    bare = position_image(120, 160)
    changed = (overlay[:, :160] != bare).any(axis=2)
    assert changed[40, 36] or changed[30:50, 30:40].any()  # the left end of the first box
    assert not changed[:10, :60].any() and not changed[36:44, 56:64].any()  # outside, and its middle


def test_geojson_is_in_degrees_and_geopackage_in_the_crs_of_the_scene(write_geotiff, tmp_path):
    """Half a metre a pixel, from (390000, 5820000) on."""
    pyogrio = pytest.importorskip("pyogrio", reason="GeoPackage needs pyogrio (the extra geo)")
    shapely = pytest.importorskip("shapely", reason="the test reads GeoPackage with shapely (the extra geo)")
    from rasterio.warp import transform

    path = write_geotiff("port.tif", position_image(120, 160).transpose(2, 0, 1))
    detector = OracleDetector(SHIP, torch.tensor([0, 1]))
    notes = []
    found = detect_scene(
        detector, path, tmp_path / "out", formats=("geojson", "gpkg"), progress=False, report=notes.append
    )
    files = [tmp_path / "out" / name for name in ("port.geojson", "port.gpkg")]
    assert notes == [
        f"{files[0]} is in longitude and latitude (WGS84)",
        f"{files[1]} is in EPSG:32633, as the scene",
    ]
    corners = oriented_boxes_to_corners(found.boxes).numpy()
    expected = np.stack([390000 + corners[..., 0] / 2, 5820000 - corners[..., 1] / 2], axis=-1)

    geojson = json.loads(files[0].read_text(encoding="utf-8"))
    assert geojson.keys() == {"type", "features"}  # no member `crs`, which RFC 7946 took away
    for feature, outline in zip(geojson["features"], expected, strict=True):
        (ring,) = feature["geometry"]["coordinates"]
        degrees = np.stack(transform("EPSG:32633", "EPSG:4326", *outline.T), axis=1)
        assert ring[0] == ring[-1] and 13 < ring[0][0] < 14 and 52 < ring[0][1] < 53  # longitude first
        assert np.allclose(sorted(ring[:4]), sorted(degrees.tolist()), rtol=0, atol=1e-8)
        assert shapely.LinearRing(ring).is_ccw
    assert pyogrio.read_info(files[0])["crs"] == "EPSG:4326"

    info, _, geometry, values = pyogrio.raw.read(files[1])
    assert info["crs"] == "EPSG:32633" and pyogrio.list_layers(files[1])[0][0] == "detections"
    for outline, wanted in zip(shapely.from_wkb(geometry), expected, strict=True):
        ring = shapely.get_coordinates(outline)
        assert np.allclose(sorted(ring[:4].tolist()), sorted(wanted.tolist()), rtol=0, atol=1e-6)
        assert outline.exterior.is_ccw
    fields = dict(zip(info["fields"], values, strict=True))
    assert fields["label"].tolist() == ["ship", "car"] and fields["class_id"].tolist() == [0, 1]
    assert fields["score"] == pytest.approx(found.scores.numpy(), abs=1e-4)
    assert json.loads(fields["obb"][0]) == pytest.approx(found.boxes[0].tolist(), abs=0.01)


def test_a_crs_without_longitude_and_latitude_is_refused_for_geojson(write_geotiff, tmp_path):
    """Coordinates beyond the globe have no place on it; GeoPackage holds them."""
    pytest.importorskip("pyogrio", reason="GeoPackage needs pyogrio (the extra geo)")
    from rasterio.transform import from_origin

    far = from_origin(1e9, 1e9, 10, 10)
    path = write_geotiff("far.tif", position_image(120, 160).transpose(2, 0, 1), transform=far)
    arguments = {"progress": False, "report": lambda note: None}
    with pytest.raises(ValueError, match=r"longitude and latitude, which the CRS .*choose GeoPackage"):
        detect_scene(OracleDetector(SHIP, torch.tensor([0, 1])), path, tmp_path, formats=("geojson",), **arguments)
    assert not list(tmp_path.glob("*far.geojson*"))
    detect_scene(
        OracleDetector(SHIP, torch.tensor([0, 1])), path, tmp_path, formats=("gpkg",), overwrite=True, **arguments
    )


def test_a_crs_without_a_code_becomes_degrees_and_tiles_without_data_are_passed_over(write_geotiff, tmp_path):
    pixels = position_image(300, 600).transpose(2, 0, 1).copy()
    pixels[:, :, 300:] = 0
    crs = "+proj=tmerc +lat_0=52.5 +lon_0=13.4 +k=1 +x_0=390000 +y_0=5820000 +ellps=WGS84"
    path = write_geotiff("local.tif", pixels, crs=crs, nodata=0)
    detector = OracleDetector(SHIP, torch.tensor([0, 1]))
    settings = TileSettings(tile=256, overlap=56 / 256, batch_size=1)
    detect_scene(detector, path, tmp_path, settings=settings, progress=False, report=lambda note: None)
    assert len(detector.batches) == 4  # tiles at x = 0 and 200, of three columns
    geojson = json.loads((tmp_path / "local.geojson").read_text(encoding="utf-8"))
    longitude, latitude = np.array(geojson["features"][0]["geometry"]["coordinates"][0])[:-1].mean(axis=0)
    assert "crs" not in geojson
    assert (longitude, latitude) == (pytest.approx(13.4 + 30 / 67_900, abs=1e-5), pytest.approx(52.5 - 20 / 111_270))


def save_detector(folder, num_experts=0):
    model = S5ForOrientedObjectDetection(micro_detection_config(num_experts)).eval()
    model.save_pretrained(folder)
    S5ImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def detector_folder(tmp_path_factory):
    """Two tasks: vehicles (car, ship, plane) and roofs (roof)."""
    return save_detector(tmp_path_factory.mktemp("detector"), num_experts=2)


@pytest.fixture
def scenes(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    for name, size in (("a", (60, 90)), ("b", (100, 70))):
        Image.fromarray(position_image(*size)).save(folder / f"{name}.png")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["detect", *map(str, arguments)])


def test_scenes_by_the_command_line(detector_folder, scenes, tmp_path):
    out = tmp_path / "out"
    arguments = (detector_folder, scenes, "--output", out, "--task", "vehicles", "--tile", 64, "--overlap", 0.25)
    more = ("--threshold", 0.05, "--max-detections", 7, "--formats", "dota,overlay")
    result = run(*arguments, *more)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == [
        *("Task1", "a.json", "a_overlay.png", "b.json", "b_overlay.png")
    ]
    task1 = read_task1_results(out / "Task1", ("car", "ship", "plane"))
    for name in ("a", "b"):
        found = read_coco_detections(out / f"{name}.json")
        assert len(found) > 0 and found.scores.min() > 0.05
        assert len(task1[name]["scores"]) == len(found)
    assert json.loads((out / "a.json").read_text(encoding="utf-8"))["info"]["task"] == "vehicles"
    # The command line and the function agree.
    settings = TileSettings(tile=64, overlap=0.25, threshold=0.05, max_detections=7)
    again = detect_scene(detector_folder, scenes / "a.png", task="vehicles", settings=settings, progress=False)
    assert torch.allclose(again.boxes, read_coco_detections(out / "a.json").boxes, atol=1e-3)

    with pytest.raises(FileExistsError, match=r"a.json exists already \(and 1 more\); .*--resume"):
        run_or_raise(*arguments)
    for name in ("b.json", "b_overlay.png"):
        (out / name).unlink()
    before = (out / "a.json").stat().st_mtime_ns
    assert run(*arguments, *more, "--resume").exit_code == 0
    assert (out / "b.json").is_file() and (out / "a.json").stat().st_mtime_ns == before
    assert read_task1_results(out / "Task1", ("car", "ship", "plane")).keys() == {"a", "b"}
    assert run(*arguments, *more, "--overwrite").exit_code == 0
    assert (out / "a.json").stat().st_mtime_ns != before


def run_or_raise(*arguments):
    result = run(*arguments)
    assert result.exit_code != 0
    raise result.exception


def test_a_mixture_of_experts_detects_as_its_model_does(detector_folder):
    model = S5ForOrientedObjectDetection.from_pretrained(detector_folder).eval()
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        outputs = model(image, task="roofs")
    expected = S5ImageProcessor().post_process_oriented_object_detection(outputs, 0.2)[0]
    found = TorchDetector(model, "roofs").detect(image, 0.2, 0.1, 2000)[0]
    assert len(found["scores"]) == len(expected["scores"]) > 0
    assert torch.allclose(found["boxes"], expected["boxes"], atol=1e-3)


def test_models_that_are_no_detectors(detector_folder, scenes, tmp_path):
    segmenter = tmp_path / "segmenter"
    S5ForSemanticSegmentation(micro_segmentation_config()).save_pretrained(segmenter)
    encoder = tmp_path / "encoder"
    S5ViTModel(micro_segmentation_config().backbone_config).save_pretrained(encoder)
    for model, message in (
        (segmenter, "is a segmentation model .*: `s5-hf predict` makes maps of classes with it"),
        (S5ForSemanticSegmentation(micro_segmentation_config()), "S5ForSemanticSegmentation is a segmentation model"),
        (encoder, "is a model of the type 's5_vit'; expected an oriented detector"),
    ):
        with pytest.raises(ValueError, match=message):
            detect_scene(model, scenes / "a.png", tmp_path / "out", progress=False)
    with pytest.raises(ValueError, match="no task 'boats'; its tasks: vehicles, roofs"):
        detect_scene(detector_folder, scenes / "a.png", tmp_path / "out", task="boats")
    with pytest.raises(ValueError, match=r"several tasks, choose one with .*: vehicles, roofs"):
        detect_scene(detector_folder, scenes / "a.png", tmp_path / "out")
    with pytest.raises(ValueError, match="precision must be one of fp32, bf16"):
        load_detector(detector_folder, "roofs", precision="fp8")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"image": "nowhere.png"}, FileNotFoundError, "nowhere.png is not a file"),
        ({"image": "cut.png"}, OSError, "cut.png cannot be read as an image"),
        ({"image": "notes.txt"}, OSError, "notes.txt"),
        ({"image": np.zeros((4, 4, 3))}, ValueError, r"expected pixels uint8 .* float64 \(4, 4, 3\)"),
        (
            {"image": np.zeros((4, 4, 3), np.uint8), "reading": SceneReading(nodata=0)},
            ValueError,
            "a picture in memory is taken as it is",
        ),
        ({"reading": SceneReading(bands=(1, 2))}, ValueError, "the network takes 3 channels"),
        ({"formats": ("kml",)}, ValueError, "unknown format 'kml'. Known: json: "),
        ({"output": "a.png"}, NotADirectoryError, "a.png is a file; expected a folder"),
        ({"task": "vehicles"}, ValueError, "options of torch models; OracleDetector is not one"),
    ],
)
def test_bad_input(scenes, changes, error, message, monkeypatch):
    monkeypatch.chdir(scenes)
    (scenes / "notes.txt").write_text("no image", encoding="utf-8")
    (scenes / "cut.png").write_bytes((scenes / "a.png").read_bytes()[:-200])
    detector = OracleDetector(SHIP, torch.tensor([0, 1]))
    arguments = {"image": "a.png", "output": "out", "progress": False, **changes}
    with pytest.raises(error, match=message):
        detect_scene(detector, **arguments)
    assert not (scenes / "out").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tile": 0}, "tile must be at least 1"),
        ({"overlap": 200}, r"overlap must be a share of the tile, 0 to below 1, .*; got 200"),
        ({"threshold": 1.5}, "threshold must be in 0..1, got 1.5"),
        ({"flips": ("diagonal",)}, "flips must be among none, horizontal, vertical, both"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_settings_out_of_range(values, message):
    with pytest.raises(ValueError, match=message):
        TileSettings(**values)


def test_the_default_overlap_of_tiles_is_the_200_of_1024_pixels_of_the_release():
    assert TileSettings().stride == 824
    assert tile_grid(3000, 1024, TileSettings()).tops == (0, 824, 1648, 1976)
    assert TileSettings(tile=512).stride == 412


@pytest.mark.parametrize(("window", "stride"), [(1024, 824), (640, 515), (600, 1), (37, 11), (512, 512), (999, 998)])
def test_a_stride_in_pixels_goes_through_the_share_unchanged(window, stride):
    assert DetectionProtocol(window=window, stride=stride).tiles(batch_size=1).stride == stride


def test_an_interrupted_scene_goes_on_behind_its_last_batch(tmp_path):
    class Stops(OracleDetector):
        def detect(self, pixel_values, *settings):
            if len(self.batches) == 4:
                raise KeyboardInterrupt
            return super().detect(pixel_values, *settings)

    boxes, labels = scattered_boxes(400, 500, 3)
    Image.fromarray(position_image(400, 500)).save(tmp_path / "port.png")
    settings = TileSettings(tile=160, overlap=0.5, batch_size=2, threshold=0.1)
    arguments = {"settings": settings, "progress": False, "formats": ("dota",), "output": tmp_path / "out"}
    notes = []

    def stop():
        with pytest.raises(KeyboardInterrupt):
            detect_scene(Stops(boxes, labels), tmp_path / "port.png", report=notes.append, overwrite=True, **arguments)

    stop()
    work = tmp_path / "out" / ".port.json.partial"
    assert list((tmp_path / "out").iterdir()) == [work] and "continues after them" in notes[-1]
    work.write_text(work.read_text(encoding="utf-8") + '{"done": 1', encoding="utf-8")  # cut off with the process

    detector = OracleDetector(boxes, labels)
    found = detect_scene(detector, tmp_path / "port.png", report=notes.append, resume=True, **arguments)
    assert notes[-1] == "resuming after tile 8 of 24"
    assert sum(shape[0] for shape in detector.batches) == 16
    assert match(found, boxes, labels) > 0.9999
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["Task1", "port.json"]
    expected = detect_scene(OracleDetector(boxes, labels), tmp_path / "port.png", settings=settings, progress=False)
    assert torch.equal(found.boxes, expected.boxes) and torch.equal(found.scores, expected.scores)
    again = detect_scene(detector, tmp_path / "port.png", report=notes.append, resume=True, **arguments)
    assert notes[-1].endswith("port.json exists already") and len(again) == len(found)

    # Other settings, or no wish to go on: from the start.
    for changes in ({"resume": True, "settings": TileSettings(tile=160, overlap=0.49)}, {}):
        (tmp_path / "out" / "port.json").unlink(missing_ok=True)
        stop()
        detector = OracleDetector(boxes, labels)
        options = {**arguments, "overwrite": True, "formats": (), "report": notes.append, **changes}
        detect_scene(detector, tmp_path / "port.png", **options)
        assert sum(shape[0] for shape in detector.batches) == 24


def test_a_scene_that_fails_does_not_stop_the_others(scenes, tmp_path):
    (scenes / "bad.png").write_bytes(b"nothing")
    detector = OracleDetector(SHIP, torch.tensor([0, 1]))
    sources = [scenes / "bad.png", scenes / "a.png", scenes / "b.png"]
    with pytest.raises(RuntimeError, match=r"1 of 3 scenes failed:\n.*bad.png"):
        detect_scenes(detector, sources, tmp_path / "out", formats=("dota",), report=lambda note: None)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["Task1", "a.json", "b.json"]
    with pytest.raises(ValueError, match=r"would both become .*a.json"):
        detect_scenes(detector, [scenes / "a.png", scenes / "x" / "a.tif"], tmp_path / "out")


def test_networks_that_give_nan_are_refused_with_their_window(scenes):
    model = S5ForOrientedObjectDetection(micro_detection_config()).eval()
    model.roi_heads[0].classifier.register_forward_hook(lambda module, inputs, output: output * math.nan)
    settings = TileSettings(tile=64, overlap=0.5, batch_size=1)
    with pytest.raises(NonFiniteOutputError, match=r"the window at row 0, column 0 of .*a.png are not finite"):
        detect_scene(model, scenes / "a.png", settings=settings, progress=False)

    class SpoiledTile(OracleDetector):
        def detect(self, pixel_values, *settings):
            found = super().detect(pixel_values, *settings)
            for image, objects in zip(pixel_values.round(), found, strict=True):
                if image[0].min() == 26 and len(objects["scores"]):  # the column at the right border
                    objects["boxes"][0, 2] = math.nan
            return found

    detector = SpoiledTile(SHIP, torch.tensor([0, 1]))
    with pytest.raises(NonFiniteOutputError, match=r"the window at row 0, column 26 of .*a.png are not finite"):
        detect_scene(detector, scenes / "a.png", settings=replace(settings, batch_size=2), progress=False)


def test_nothing_found_gives_files_too(scenes, tmp_path):
    detector = OracleDetector(torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64))
    found = detect_scene(detector, scenes / "a.png", tmp_path / "out", formats=("overlay", "geojson", "dota"))
    assert len(found) == 0 and found.counts() == {}
    assert len(read_coco_detections(tmp_path / "out" / "a.json")) == 0
    assert json.loads((tmp_path / "out" / "a.geojson").read_text(encoding="utf-8"))["features"] == []
    assert (tmp_path / "out" / "Task1" / "Task1_car.txt").read_text(encoding="utf-8") == ""
    with pytest.raises(ValueError, match=r"holds no detections of a scene"):
        read_coco_detections(tmp_path / "out" / "a.geojson")
