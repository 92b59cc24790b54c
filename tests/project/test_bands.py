"""Bands and depth that a project's images have in common, found by `init` and compared before anything runs."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytest.importorskip("rasterio", reason="bands need rasterio (the extra geo)")

import rasterio

from s5_hf.curation.patches import PatchReader
from s5_hf.dataset_builders.band_files import encode_bands
from s5_hf.project import read_project, run_project, write_project_file
from s5_hf.project.bands import band_names, cannot_be_mapped, differs, read_image_bands
from s5_hf.project.steps import project_steps
from tests.band_files import write_bands, write_dataset

NAMES = ("red", "green", "blue", "nir")
CLASSES = ["soil", "crop", "water"]


def deep(path, bands=4, dtype=np.uint16, names=NAMES, size=64):
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(len(path.name))
    values = random.integers(1, 200, (bands, size, size)).astype(dtype) * (1 if dtype == np.uint8 else 20)
    write_bands(path, values.astype(dtype), names[:bands])
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    """`fields`, tiles of four bands of 16 bits with masks; `archive` and `scene.tif` of the same kind."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "fields", train=3, val=2)
    (tmp_path / "fields" / "classes.txt").write_text("\n".join(CLASSES), encoding="utf-8")
    for number in range(3):
        deep(Path(f"archive/{number}.tif"))
    deep(Path("scene.tif"))
    return tmp_path


def written(*places):
    said = write_project_file(list(places), "project.yaml", overwrite=True)
    return said, yaml.safe_load(Path("project.yaml").read_text(encoding="utf-8"))


def test_names_of_bands_reach_every_training(here):
    said, content = written("fields", "archive", "scene.tif")
    assert content["bands"] == list(NAMES) and not any("left out" in line for line in said)
    project = read_project("project.yaml")
    recipes = {step.name: step.recipe[1] for step in project_steps(project) if step.recipe and step.part != "curate"}
    assert list(recipes) == ["first", "pretrain", "finetune"]
    assert all(recipe["bands"] == list(NAMES) for recipe in recipes.values())


def test_what_has_other_bands_or_another_depth_is_left_out_of_the_file_and_said(here):
    Path("pictures").mkdir()
    for number in range(3):
        Image.new("RGB", (64, 64)).save(f"pictures/{number}.png")
    deep(Path("shallow.tif"), dtype=np.uint8)
    said, content = written("fields", "archive", "pictures", "scene.tif", "shallow.tif")
    assert (content["archive"], content["scenes"]) == (["archive"], ["scene.tif"])
    assert "left out: pictures, for pictures/0.png has 3 bands (red, green, blue), " in "\n".join(said)
    assert "left out: shallow.tif, for shallow.tif holds values of 8 bits (uint8), fields/train" in "\n".join(said)


def test_bands_without_names_of_colours_are_not_said(here):
    for path in (*Path("archive").iterdir(), Path("scene.tif")):
        path.unlink()
    for number in range(3):
        deep(Path(f"archive/{number}.tif"), names=("", "", "", ""))
    assert "bands" not in written("fields", "archive")[1]
    assert band_names([read_image_bands(deep(Path("other.tif"), names=("nir", "red", "red", "blue")))]) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: deep(Path("archive/1.tif"), bands=3), r"archive: archive/1.tif has 3 bands .* has 4 bands"),
        (
            lambda: deep(Path("archive/1.tif"), dtype=np.float32),
            r"archive: archive/1.tif holds values of real numbers \(float32\), fields/train/\S+ holds .* \(uint16\)\.",
        ),
        (lambda: deep(Path("scene.tif"), bands=2), r"scenes: scene.tif has 2 bands"),
        (lambda: deep(Path("scene.tif"), dtype=np.uint8), r"scenes: scene.tif holds values of 8 bits \(uint8\)"),
    ],
    ids=["bands", "depth", "scene", "shallow"],
)
def test_a_run_refuses_images_that_differ_before_it_makes_anything(change, message, here):
    _, content = written("fields", "archive", "scene.tif")
    del content["bands"]
    Path("project.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    change()
    with pytest.raises(ValueError, match=f"project.yaml: {message}"):
        run_project("project.yaml", report=lambda line: None)
    assert not Path("work").exists()


def test_a_run_refuses_a_file_that_lacks_a_named_band(here):
    written("fields", "archive", "scene.tif")
    deep(Path("archive/2.tif"), names=("red", "green", "blue", "swir"))
    with pytest.raises(ValueError, match=r"archive/2.tif lacks one of the bands red, green, blue, nir; it has"):
        run_project("project.yaml", report=lambda line: None)


def test_what_a_prediction_can_take_out_of_a_scene_is_mapped(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    Image.new("L", (64, 64)).save(tmp_path / "grey.png")
    rgb, grey = read_image_bands(tmp_path / "a.png"), read_image_bands(tmp_path / "grey.png")
    four = read_image_bands(deep(tmp_path / "four.tif"))
    assert (rgb.names, grey.names, four.names, four.depth) == (NAMES[:3], ("1",), NAMES, "16 bits")
    assert cannot_be_mapped(grey, rgb, None) is None and cannot_be_mapped(four, four, None) is None
    assert "four.tif has 4 bands" in cannot_be_mapped(four, rgb, None)
    assert cannot_be_mapped(four, rgb, ["red", "blue"]) is None  # 8 bits do not say how 16 are scaled
    assert "has 1 band (gray)" in differs(grey, rgb) and differs(rgb, rgb) is None


def test_patches_cut_from_an_image_keep_the_names_of_its_bands(tmp_path):
    path = deep(tmp_path / "four.tif")
    row = {"image": 0, "left": 16, "top": 0, "width": 32, "height": 32, "id": "four@16,0"}
    encoded = PatchReader([{"image": {"bytes": None, "path": str(path)}, "id": "four"}]).encoded(row)
    with rasterio.MemoryFile(encoded["bytes"]) as memory, memory.open() as patch, rasterio.open(path) as whole:
        assert patch.descriptions == NAMES and patch.shape == (32, 32)
        np.testing.assert_array_equal(patch.read(), whole.read()[:, :32, 16:48])
    with rasterio.MemoryFile(encode_bands(np.ones((4, 4, 2), np.uint16))) as memory, memory.open() as patch:
        assert patch.descriptions == (None, None)
