"""Nothing that is there already is overwritten unbidden: every product is looked for before anything is computed."""

import numpy as np
import pytest
import torch
from PIL import Image

from s5_hf.scenes import MapProducts, segment_scene, segment_scenes
from s5_hf.scenes.detection import detect_scene, detect_scenes
from tests.scenes.conftest import smooth_image
from tests.scenes.detectors import OracleDetector, position_image
from tests.scenes.segmenters import PixelSegmenter

EVERYTHING = MapProducts(probabilities=True, entropy=True, overlay=True, areas=True, polygons=".geojson")


def silent(line):
    pass


class Untouched(PixelSegmenter):
    """Must not be asked."""

    def predict(self, pixel_values):
        raise AssertionError("computed before the products were looked for")


class UntouchedDetector(OracleDetector):
    """Must not be asked."""

    def __init__(self):
        super().__init__(torch.tensor([[60.0, 40.0, 50.0, 14.0, 0.4]]), torch.tensor([0]))

    def detect(self, *arguments):
        raise AssertionError("computed before the products were looked for")


def write_scenes(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(position_image(60, 90)).save(folder / name)
    return [folder / name for name in names]


@pytest.mark.parametrize(
    "name",
    [
        *("o.png", "o.json", "o_overlay.png", "o_areas.csv", "o_entropy.png", "o_polygons.geojson"),
        "o_probabilities_1_class-1.png",
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_predict_keeps_every_product_that_is_there(tmp_path, name, resume):
    pytest.importorskip("shapely", reason="polygons need shapely (the extra geo)")
    (scene,) = write_scenes(tmp_path / "in", "scene.png")
    (tmp_path / name).write_text("mine", encoding="utf-8")
    arguments = {"products": EVERYTHING, "resume": resume, "progress": False, "report": silent}
    with pytest.raises(FileExistsError, match=f"{name} exists already; .*--overwrite"):
        segment_scene(Untouched(), scene, tmp_path / "o.png", **arguments)
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in", name])
    segment_scene(PixelSegmenter(), scene, tmp_path / "o.png", overwrite=True, **arguments)
    assert (tmp_path / name).read_bytes() != b"mine"


def test_predict_looks_for_the_products_of_all_scenes_first(tmp_path):
    scenes = write_scenes(tmp_path / "in", "a.png", "b.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.json").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"b.json exists already"):
        segment_scenes(Untouched(), scenes, tmp_path / "out", report=silent)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.json"]


def test_no_product_takes_the_place_of_a_scene(tmp_path):
    scenes = write_scenes(tmp_path, "a.png", "a_overlay.png")
    before = [path.read_bytes() for path in scenes]
    products = MapProducts(overlay=True)
    with pytest.raises(ValueError, match=r"a_overlay.png would replace the scene .*a_overlay.png"):
        segment_scene(Untouched(), scenes[1], tmp_path / "a.png", products=products, overwrite=True)
    with pytest.raises(ValueError, match=r"would replace the scene"):
        segment_scenes(Untouched(), scenes, tmp_path, products=products, overwrite=True, report=silent)
    with pytest.raises(ValueError, match=r"a_overlay.png would replace the scene .*a_overlay.png"):
        detect_scenes(UntouchedDetector(), scenes, tmp_path, formats=("overlay",), overwrite=True, report=silent)
    assert [path.read_bytes() for path in scenes] == before


@pytest.mark.parametrize("name", ["port.json", "port.geojson", "port_overlay.png", "Task1/Task1_ship.txt"])
def test_detect_keeps_every_product_that_is_there(tmp_path, name):
    (scene,) = write_scenes(tmp_path / "in", "port.png")
    output = tmp_path / "out"
    (output / name).parent.mkdir(parents=True)
    (output / name).write_text("mine", encoding="utf-8")
    formats = ("geojson", "overlay", "dota")
    for run, source in ((detect_scene, scene), (detect_scenes, [scene])):
        with pytest.raises(FileExistsError, match=r"exists already; .*--overwrite"):
            run(UntouchedDetector(), source, output, formats=formats, report=silent)
    assert (output / name).read_text(encoding="utf-8") == "mine"
    assert [path.relative_to(output).as_posix() for path in output.rglob("*.*")] == [name]


@pytest.mark.parametrize("name", ["port.geojson", "port_overlay.png"])
def test_detect_with_resume_keeps_products_that_no_earlier_run_left(tmp_path, name):
    (scene,) = write_scenes(tmp_path / "in", "port.png")
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match=f"{name} exists already"):
        detect_scene(UntouchedDetector(), scene, tmp_path, resume=True, report=silent)
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


def test_a_scene_interrupted_after_its_products_goes_on(tmp_path, monkeypatch):
    """The overlay is written before the map gets its name: a run that stops between the two goes on."""
    from s5_hf.scenes.segmentation.scene_writer import SceneWriter

    image = smooth_image(600, 64)
    Image.fromarray(image).save(tmp_path / "scene.png")
    arguments = {"products": MapProducts(overlay=True), "progress": False, "report": silent}

    def stop(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SceneWriter, "publish", stop)
        with pytest.raises(KeyboardInterrupt):
            segment_scene(PixelSegmenter(), tmp_path / "scene.png", tmp_path / "o.png", **arguments)
    assert (tmp_path / "o_overlay.png").is_file() and not (tmp_path / "o.png").exists()
    segment_scene(PixelSegmenter(), tmp_path / "scene.png", tmp_path / "o.png", resume=True, **arguments)
    assert np.asarray(Image.open(tmp_path / "o.png")).shape == (600, 64)
