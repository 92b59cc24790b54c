"""Oriented detection on four bands of 16 bits: the builder, a training, and prediction with the same scaling."""

import json
import shutil

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from datasets import load_dataset
from transformers import AutoConfig, AutoImageProcessor

import s5_hf  # noqa: F401 - registers the names of the datasets
from s5_hf.dataset_builders.errors import SampleError
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_corners
from s5_hf.predictors.torch_detector import load_detector
from s5_hf.scenes.detection import TileSettings, detect_scene
from s5_hf.training.detection.kind import JointDetection
from s5_hf.training.detection.recipe import DetectionRecipe
from s5_hf.training.running import carry_out
from tests.band_files import NAMES, write_bands
from tests.training.detecting import MICRO, painted_samples

pytest.importorskip("rasterio", reason="bands need rasterio (the extra geo)")

BANDS = ["nir", "red", "green", "blue"]
ALL = TileSettings(threshold=0.0)
FOR_RGB = MICRO.index("--image_mean")


def deep(image):
    """Four bands of 16 bits, `(4, height, width)`: the colours times 12, and an infrared."""
    red, green, blue = image.astype(np.int64).transpose(2, 0, 1)
    return (np.stack([red, green, blue, (red + green) // 2]) * 12 + 100).astype(np.uint16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("ships")
    for split, count, seed in (("train", 4, 1), ("val", 2, 3)):
        (root / split / "labelTxt").mkdir(parents=True)
        for sample in painted_samples(count, seed, 2, empty=[1]):
            write_bands(root / split / "images" / f"{sample['id']}.tif", deep(sample["image"]), NAMES)
            corners = oriented_boxes_to_corners(torch.tensor(sample["objects"]["obb"]).reshape(-1, 5)).reshape(-1, 8)
            lines = [
                " ".join([*map(str, row), ("ship", "boat")[category], "0"])
                for row, category in zip(corners.tolist(), sample["objects"]["category"], strict=True)
            ]
            (root / split / "labelTxt" / f"{sample['id']}.txt").write_text("\n".join(lines), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("run")
    AcceleratorState._reset_state(reset_partial_state=True)
    words = [*MICRO[:FOR_RGB], "--mode", "sdf", "--datasets", "ships", "--ships.dataset", "s5-oriented"]
    words += ["--ships.data_dir", str(folder), "--ships.classes", "ship", "boat", "--bands", *BANDS]
    words += ["--total_steps", "2", "--epochs", "1", "--milestones", "1", "--warmup_steps", "0"]
    words += ["--checkpoint_steps", "2", "--validation_steps", "2", "--output_dir", str(output)]
    carry_out(JointDetection(DetectionRecipe.read(words)))
    return output


def load(folder, **options):
    return load_dataset("s5-oriented", data_dir=str(folder), split="train", classes=["ship", "boat"], **options)


def test_the_builder_keeps_values_and_chooses_bands(folder):
    sample = load(folder)[0]
    original = painted_samples(4, 1, 2, empty=[1])[0]
    np.testing.assert_array_equal(sample["image"], deep(original["image"]).transpose(1, 2, 0))
    assert sample["image"].dtype == np.uint16
    np.testing.assert_allclose(sample["objects"]["obb"][0][:2], original["objects"]["obb"][0][:2], atol=1e-3)
    chosen = load(folder, bands=["nir", 1])[0]["image"]
    np.testing.assert_array_equal(chosen, sample["image"][:, :, [3, 0]])
    streamed = next(iter(load(folder, bands=["nir", 1], streaming=True)))["image"]
    np.testing.assert_array_equal(chosen, streamed)


def test_images_of_other_bands_are_refused_by_name(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "mixed")
    path = sorted((tmp_path / "mixed" / "train" / "images").iterdir())[-1]
    write_bands(path, np.ones((3, 72, 72), np.uint16), NAMES[:3])
    with pytest.raises(SampleError, match=r"1-3.tif gives 3 bands of uint16, .* must have the same bands and type"):
        load(tmp_path / "mixed")


def test_ranges_and_bands_stay_with_the_detector(run):
    processor = AutoImageProcessor.from_pretrained(run / "detector")
    assert processor.bands == BANDS and len(processor.image_mean) == 4
    assert AutoConfig.from_pretrained(run / "detector").backbone_config.num_channels == 4
    low, high = processor.value_scaling["low"], processor.value_scaling["high"]
    assert all(100 < bottom < top < 255 * 12 + 101 for bottom, top in zip(low, high, strict=True))
    assert [path.name for path in (run / "panels").rglob("*.png")]


def test_a_scene_is_read_by_the_names_of_its_bands_with_the_ranges_of_the_training(run, tmp_path):
    values = deep(painted_samples(1, 9, 2)[0]["image"])
    write_bands(tmp_path / "a.tif", values, NAMES)
    write_bands(tmp_path / "b.tif", values[[2, 3, 0, 1]], ("blue", "nir", "red", "green"))
    detector = load_detector(run / "detector")
    found = []
    for name in ("a", "b"):
        detect_scene(detector, tmp_path / f"{name}.tif", tmp_path / name, settings=ALL, report=lambda line: None)
        (listed,) = tmp_path.glob(f"{name}/*.geojson")
        features = json.loads(listed.read_text(encoding="utf-8"))["features"]
        found.append([feature["geometry"]["coordinates"] for feature in features])
    assert found[0] == found[1] and len(found[0]) > 5

    shallow = write_bands(tmp_path / "shallow.tif", (values // 12).astype(np.uint8), NAMES, photometric="minisblack")
    with pytest.raises(ValueError, match="8 bits per channel, but the model takes values up to"):
        detect_scene(detector, shallow, tmp_path / "shallow", report=lambda line: None)
