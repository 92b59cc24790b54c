"""The help of a command ends in examples: the first of each runs as it stands."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.commands.detect import detect
from s5_hf.commands.evaluate import evaluate_command
from s5_hf.commands.export import export
from s5_hf.commands.predict import predict
from s5_hf.commands.view import view
from s5_hf.export import ExportMetadata, ExportReport
from s5_hf.modeling import (
    S5ForOrientedObjectDetection,
    S5ForSemanticSegmentation,
    S5ImageProcessor,
    S5SegmentationConfig,
    S5ViTConfig,
)
from tests.modeling.detection_models import micro_detection_config
from tests.scenes.conftest import smooth_image


def examples(command):
    """The lines of a command's help that call the program, as arguments."""
    lines = re.findall(r"^ *- `s5-hf ([^`]+)`$", command.__doc__, re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the first examples name: models, scenes and a dataset, in the working directory."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    vit = S5ViTConfig(hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=64)
    config = S5SegmentationConfig(backbone_config=vit, tasks={"loveda": ["land", "roof"]}, decoder_channels=16)
    S5ForSemanticSegmentation(config).save_pretrained("my-segmenter")
    S5ForOrientedObjectDetection(micro_detection_config()).save_pretrained("my-detector")
    for name in ("my-segmenter", "my-detector"):
        S5ImageProcessor().save_pretrained(name)
    for name in ("scenes", "my-tiles/val/images", "my-tiles/val/masks"):
        Path(name).mkdir(parents=True)
    Image.fromarray(smooth_image(60, 90)).save("scenes/a.png")
    Image.fromarray(smooth_image(64, 64)).save("my-tiles/val/images/0.png")
    Image.fromarray(smooth_image(64, 64)[..., 0] // 128).save("my-tiles/val/masks/0.png")
    return tmp_path


def run(arguments):
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_predict_then_view(folder):
    for package in ("rasterio", "shapely"):
        pytest.importorskip(package, reason=f"GeoTIFF and polygons need {package} (the extra geo)")
    Image.fromarray(smooth_image(60, 90)).save("city.tif")
    assert "roof" in run(examples(predict)[0])
    assert {path.name for path in Path("maps").iterdir()} == {
        *("city.tif", "city.json", "city_overlay.png", "city_polygons.geojson")
    }
    for name in ("tif", "json"):
        shutil.copy(f"maps/city.{name}", f"city_classes.{name}")
    sidecar = Path("city_classes.json")
    sidecar.write_text(sidecar.read_text(encoding="utf-8").replace("../city.tif", "city.tif"), encoding="utf-8")
    assert "the scene is shown in full" in run(examples(view)[0])
    assert Path("city_classes.html").is_file()


def test_detect(folder):
    run(examples(detect)[0])
    assert Path("detections/a.json").is_file()


def test_evaluate(folder):
    assert "report: evaluation" in run(examples(evaluate_command)[0])
    assert Path("evaluation/results.json").is_file()


def test_export(folder, monkeypatch):
    """Only that its arguments fit: the tests of `s5_hf.export` write files."""
    calls = []

    def exported(*arguments):
        calls.append(arguments)
        metadata = ExportMetadata("loveda", ("land", "roof"), ((0, 0, 0),), (0.5,), (0.5,), 1 / 255, 16)
        return ExportReport(Path("my-segmenter.onnx"), 1, metadata, {(1, 3, 64, 64): 0.0})

    monkeypatch.setattr("s5_hf.export.exporter.export_model", exported)
    assert "task loveda, 2 classes" in run(examples(export)[0])
    assert calls == [("my-segmenter", Path("my-segmenter.onnx"), "onnx", "loveda")]
