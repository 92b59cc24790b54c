"""Models and devices that would draw a map of nothing: refused by every command, before any file is made."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import MobileViTImageProcessor

from s5_hf.evaluation import EvaluationSettings, run_evaluation
from s5_hf.export import export_model
from s5_hf.hub.normalization import processor_normalization
from s5_hf.modeling import S5ForOrientedObjectDetection, S5ForSemanticSegmentation, S5ImageProcessor
from s5_hf.predictors import TorchDetector, TorchSegmenter
from s5_hf.predictors.devices import usable_device
from s5_hf.predictors.feature_segmenter import Segmenter
from s5_hf.predictors.image_probabilities import NonFiniteOutputError
from s5_hf.scenes import WindowSettings, segment_scene, segment_scenes
from s5_hf.scenes.detection import detect_scene
from tests.conftest import micro_segmentation_config, randomise
from tests.modeling.detection_models import micro_detection_config
from tests.scenes.conftest import smooth_image
from tests.scenes.segmenters import PixelSegmenter


def silent(line):
    pass


def saved(model, folder):
    randomise(model).save_pretrained(folder)
    S5ImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def whole_segmenter(tmp_path_factory):
    return saved(S5ForSemanticSegmentation(micro_segmentation_config()), tmp_path_factory.mktemp("segmenter"))


@pytest.fixture(scope="module")
def whole_detector(tmp_path_factory):
    return saved(S5ForOrientedObjectDetection(micro_detection_config()), tmp_path_factory.mktemp("detector"))


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "scene.png"
    Image.fromarray(smooth_image(60, 70)).save(path)
    return path


def with_nan(folder):
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("bias"))
    weights[name][0] = math.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def without_a_layer(folder):
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "layers.3." not in name}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def with_zero_deviation(folder):
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**settings, "image_std": [0.2, 0, 0.2]}), encoding="utf-8")


DEFECTS = [
    pytest.param(with_nan, "the weights are not finite", id="NaN"),
    pytest.param(without_a_layer, r"missing \(", id="missing"),
    pytest.param(with_zero_deviation, r"image_std is \[0.2, 0, 0.2\], expected numbers above 0", id="image_std"),
]


@pytest.fixture
def spoiled(tmp_path, whole_segmenter, whole_detector):
    def spoil(kind, defect):
        folder = shutil.copytree({"segmenter": whole_segmenter, "detector": whole_detector}[kind], tmp_path / kind)
        defect(folder)
        return folder

    return spoil


@pytest.mark.parametrize(("defect", "message"), DEFECTS)
def test_broken_segmenters_are_refused_by_predict_evaluate_curation_and_export(
    spoiled, scene, tmp_path, defect, message
):
    model = spoiled("segmenter", defect)
    (tmp_path / "data" / "val" / "images").mkdir(parents=True)
    (tmp_path / "data" / "val" / "masks").mkdir()
    shutil.copy(scene, tmp_path / "data" / "val" / "images" / "a.png")
    Image.fromarray(np.zeros((60, 70), np.uint8)).save(tmp_path / "data" / "val" / "masks" / "a.png")
    evaluation = EvaluationSettings(str(model), "s5-image-mask", str(tmp_path / "data"), split="val")
    uses = (
        lambda: segment_scene(model, scene, tmp_path / "map.png", progress=False, report=silent),
        lambda: run_evaluation(evaluation),
        lambda: Segmenter.from_pretrained(model),
        lambda: export_model(model, tmp_path / "model.pt2", "torch-export"),
    )
    for use in uses:
        with pytest.raises(ValueError, match=message) as raised:
            use()
        assert str(model) in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "scene.png", "segmenter"]


@pytest.mark.parametrize(("defect", "message"), DEFECTS)
def test_broken_detectors_are_refused_by_detect(spoiled, scene, tmp_path, defect, message):
    model = spoiled("detector", defect)
    with pytest.raises(ValueError, match=message) as raised:
        detect_scene(model, scene, tmp_path / "found", progress=False, report=silent)
    assert str(model) in str(raised.value)
    assert not (tmp_path / "found").exists()


def test_models_in_memory_with_nan_weights_are_refused(scene, tmp_path):
    segmenter = S5ForSemanticSegmentation(micro_segmentation_config())
    detector = S5ForOrientedObjectDetection(micro_detection_config())
    with torch.no_grad():
        for model in (segmenter, detector):
            next(model.parameters()).view(-1)[0] = math.nan
    with pytest.raises(ValueError, match="S5ForSemanticSegmentation: the weights are not finite"):
        segment_scene(segmenter, scene, tmp_path / "map.png", progress=False)
    with pytest.raises(ValueError, match="S5ForOrientedObjectDetection: the weights are not finite"):
        detect_scene(detector, scene, progress=False)
    with pytest.raises(ValueError, match="S5ForSemanticSegmentation: the weights are not finite"):
        export_model(segmenter, tmp_path / "model.pt2", "torch-export")


class SpoiledWindow(PixelSegmenter):
    """Gives one NaN, or one infinity, for windows whose first pixel is black."""

    value = math.nan

    def predict(self, pixel_values):
        logits = super().predict(pixel_values)
        logits[(pixel_values[:, :, 0, 0] < -1.9).all(dim=1), 1, 5, 7] = self.value
        return logits


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_window_with_outputs_that_are_not_finite_is_named_and_stops_its_scene(tmp_path, value):
    """Windows of 64 every 48 pixels; the third of the second row begins with a black pixel."""
    image = np.maximum(smooth_image(160, 200), 1)
    image[48, 96] = 0
    Image.fromarray(image).save(tmp_path / "bad.png")
    Image.fromarray(smooth_image(70, 70)).save(tmp_path / "good.png")
    segmenter = SpoiledWindow()
    segmenter.value = value
    settings = WindowSettings(window=64, overlap=0.25, batch_size=3, flips=("none", "horizontal"))
    with pytest.raises(NonFiniteOutputError, match=r"row 48, column 96 of .*bad.png are not finite"):
        segment_scene(segmenter, tmp_path / "bad.png", tmp_path / "map.png", settings=settings, progress=False)
    assert not (tmp_path / "map.png").exists()
    with pytest.raises(RuntimeError, match=r"1 of 2 scenes failed:\n.*bad.png: .*row 48, column 96"):
        segment_scenes(
            segmenter,
            [tmp_path / "bad.png", tmp_path / "good.png"],
            tmp_path / "maps",
            settings=settings,
            report=silent,
        )
    assert [path.stem for path in (tmp_path / "maps").glob("*.json")] == ["good"]


def test_a_processor_that_swaps_colours_is_refused():
    with pytest.raises(ValueError, match="model: its image processor swaps red and blue"):
        processor_normalization(MobileViTImageProcessor(do_flip_channel_order=True), "model")


@pytest.mark.parametrize("name", ["cuda:77", "gpu", "meta"])
def test_devices_that_are_not_there_are_refused_by_name(name, whole_segmenter, whole_detector, scene, tmp_path):
    message = f"the device {name} cannot be used here; there are: cpu"
    with pytest.raises(ValueError, match=message):
        usable_device(name)
    with pytest.raises(ValueError, match=message):
        segment_scene(whole_segmenter, scene, tmp_path / "map.png", devices=(name,))
    with pytest.raises(ValueError, match=message):
        detect_scene(whole_detector, scene, tmp_path / "found", device=name)
    with pytest.raises(ValueError, match=message):
        TorchSegmenter(S5ForSemanticSegmentation(micro_segmentation_config()), device=name)
    with pytest.raises(ValueError, match=message):
        TorchDetector(S5ForOrientedObjectDetection(micro_detection_config()), device=name)
