"""Open-vocabulary models where segmenters are taken: scenes, the command line, pipelines."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForSemanticSegmentation, pipeline
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.commands.word_lists import repeat_option
from s5_hf.modeling import SegEarthOVForSemanticSegmentation, SegEarthOVImageProcessor
from s5_hf.predictors import TorchSegmenter
from s5_hf.predictors.named_classes import takes_any_classes
from s5_hf.predictors.torch_segmenter import load_segmenters
from s5_hf.scenes import WindowSettings, segment_scene
from tests.open_models import CLASSES, write_tiny_model
from tests.scenes.conftest import smooth_image
from tests.scenes.segmenters import PixelSegmenter


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model without classes, and one with."""
    root = tmp_path_factory.mktemp("models")
    return {
        "open": write_tiny_model(root / "open"),
        "named": write_tiny_model(root / "named", CLASSES),
    }


@pytest.fixture
def scene(tmp_path):
    Image.fromarray(smooth_image(70, 90, 3)).save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def test_a_segmenter_gives_the_logits_of_the_model(folders):
    (segmenter,) = load_segmenters(folders["open"], classes=["road", "tree,forest"])
    assert segmenter.id2label == {0: "road", 1: "tree"}
    processor = SegEarthOVImageProcessor()
    assert segmenter.image_mean == pytest.approx(processor.image_mean)
    pixels = torch.randn(2, 3, 48, 32, generator=torch.Generator().manual_seed(0))
    model = SegEarthOVForSemanticSegmentation.from_pretrained(folders["open"]).eval()
    model.encode_classes(["road", "tree,forest"])
    with torch.no_grad():
        torch.testing.assert_close(segmenter.predict(pixels), model(pixels).logits)
    (other,) = load_segmenters(folders["open"], classes=["road", "tree"])
    assert other.fingerprint != segmenter.fingerprint


def test_a_scene_becomes_a_map_of_named_classes(folders, scene, tmp_path):
    by_name = segment_scene(folders["open"], scene, tmp_path / "a", classes=CLASSES, progress=False)
    saved = segment_scene(folders["named"], scene, tmp_path / "b", progress=False)
    assert [area.label for area in by_name.areas] == ["background", "building", "road", "water"]
    assert sum(area.pixels for area in by_name.areas) == 70 * 90
    assert by_name.areas == saved.areas
    maps = [np.asarray(Image.open(result.files.classes)) for result in (by_name, saved)]
    np.testing.assert_array_equal(*maps)
    assert len(np.unique(maps[0])) > 1


def test_a_large_scene_reaches_the_model_in_windows_and_these_in_small_batches(tmp_path, monkeypatch):
    model = AutoModelForSemanticSegmentation.from_pretrained(
        write_tiny_model(tmp_path / "model", CLASSES, window_batch_size=3)
    )
    Image.fromarray(smooth_image(64, 300, 2)).save(tmp_path / "long.png")
    settings = WindowSettings(window=64, overlap=0.25, batch_size=2)
    seen, inner, original = [], [], model.window_similarities
    monkeypatch.setattr(model, "window_similarities", lambda windows: inner.append(len(windows)) or original(windows))
    segmenter = TorchSegmenter(model)
    predict = segmenter.predict
    monkeypatch.setattr(segmenter, "predict", lambda pixels: seen.append(tuple(pixels.shape)) or predict(pixels))
    first, second = (
        segment_scene(segmenter, tmp_path / "long.png", tmp_path / name, settings=settings, progress=False)
        for name in ("a", "b")
    )
    assert sum(area.pixels for area in first.areas) == 64 * 300
    assert {shape[1:] for shape in seen} == {(3, 64, 64)} and max(shape[0] for shape in seen) == 2
    assert max(inner) == 3 and sum(inner) == 9 * sum(shape[0] for shape in seen)  # 9 windows of 32 px in one of 64
    assert first.files.classes.read_bytes() == second.files.classes.read_bytes()


@pytest.mark.parametrize("place", ["citymaps/val/images/*.jpg", "rsscn7/fResident/*.jpg"])
def test_real_images_get_maps_in_their_own_size(place, real_imagery, tmp_path):
    folder = write_tiny_model(tmp_path / "model", window_size=128, window_stride=112)
    image = sorted(real_imagery.glob(place))[0]
    with Image.open(image) as opened:
        width, height = opened.size
    found = segment_scene(folder, image, tmp_path / "maps", classes=CLASSES, progress=False)
    with Image.open(found.files.classes) as classes:
        assert classes.size == (width, height)
    assert sum(area.pixels for area in found.areas) == width * height
    assert sum(area.pixels > 0 for area in found.areas) > 1


def test_the_command_takes_names_up_to_the_next_option(folders, scene, tmp_path):
    words = ["predict", str(folders["open"]), str(scene), str(tmp_path / "maps"), "--window", "64"]
    result = CliRunner().invoke(app, [*words, "--classes", "background", "building,roof", "road", "--overlay"])
    assert result.exit_code == 0, result.output
    sidecar = json.loads((tmp_path / "maps" / "scene.json").read_text(encoding="utf-8"))
    assert sidecar["id2label"] == {"0": "background", "1": "building", "2": "road"}
    assert (tmp_path / "maps" / "scene_overlay.png").exists()


def test_what_is_refused(folders, scene, tmp_path):
    with pytest.raises(ValueError, match="takes any classes and has none yet: name them, such as --classes"):
        segment_scene(folders["open"], scene, tmp_path / "maps")
    with pytest.raises(ValueError, match="the name 'road' comes twice"):
        segment_scene(folders["open"], scene, tmp_path / "maps", classes=["road", "road"])
    with pytest.raises(ValueError, match="these segmenters have theirs already"):
        load_segmenters([PixelSegmenter()], classes=["road"])
    with pytest.raises(ValueError, match="options of torch models"):
        load_segmenters(PixelSegmenter(), classes=["road"])
    assert not (tmp_path / "maps").exists() or not list((tmp_path / "maps").iterdir())
    assert takes_any_classes(str(folders["open"]))
    assert not takes_any_classes("model.onnx")
    with pytest.raises(FileNotFoundError, match="there is no model folder"):
        takes_any_classes(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("m s --classes a b --overlay", "m s --classes a --classes b --overlay"),
        ("m s --classes a,b", "m s --classes a,b"),
        ("--window 3 m --classes a --classes b c", "--window 3 m --classes a --classes b --classes c"),
        ("--classes --overlay a", "--classes --overlay a"),
        ("m --classes=a b", "m --classes=a b"),
    ],
)
def test_words_of_an_option(words, expected):
    assert repeat_option(words.split(), "--classes") == expected.split()


def test_a_pipeline_segments_into_the_saved_classes(folders):
    image = Image.fromarray(smooth_image(50, 80, 1))
    segments = pipeline("image-segmentation", model=str(folders["named"]), image_processor=str(folders["named"]))(
        image
    )
    assert {segment["label"] for segment in segments} <= {"background", "building", "road", "water"}
    masks = [np.asarray(segment["mask"]) > 0 for segment in segments]
    np.testing.assert_array_equal(np.sum(masks, axis=0), np.ones((50, 80)))
