"""Scenes with the look of another date: windows, masks, coordinates, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.modeling import SRUITConfig, SRUITImageProcessor, SRUITModel
from s5_hf.predictors.torch_translator import TorchTranslator, load_translator
from s5_hf.scenes import WindowSettings, translate_scene
from s5_hf.synthetic import synthetic_scene
from tests.open_models import write_tiny_model

PIXELS = synthetic_scene(96, 4).image
SMALL = WindowSettings(window=32, overlap=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translators")
    torch.manual_seed(0)
    SRUITModel(SRUITConfig(hidden_size=4, num_own_blocks=1)).save_pretrained(folder / "model")
    SRUITImageProcessor().save_pretrained(folder / "model")
    Image.fromarray(PIXELS).save(folder / "scene.png")
    return folder


class Inverter(TorchTranslator):
    """Gives the negative of an image, so that windows of any size agree."""

    def predict(self, pixel_values):
        return 127.5 - 127.5 * pixel_values


def inverter(folder):
    return Inverter(SRUITModel.from_pretrained(folder / "model"), "after", image_mean=[0.5] * 3, image_std=[0.5] * 3)


def test_one_window_gives_what_the_network_gives(folder, tmp_path):
    translator = load_translator(folder / "model", "before", "cpu")
    output = translate_scene(translator, folder / "scene.png", tmp_path / "a.png", progress=False)
    processor = SRUITImageProcessor.from_pretrained(folder / "model")
    inputs = processor(PIXELS, return_tensors="pt")
    with torch.no_grad():
        model = SRUITModel.from_pretrained(folder / "model")
        (expected,) = processor.post_process_translation(model(**inputs, to="before"))
        (other,) = processor.post_process_translation(model(**inputs, to="after"))
    found = np.asarray(Image.open(output)).astype(int)
    assert np.abs(found - expected).max() <= 1 and np.abs(found - other).max() > 1


def test_blended_windows_have_no_seams(folder, tmp_path):
    (tmp_path / "b").mkdir()
    output = translate_scene(inverter(folder), folder / "scene.png", tmp_path / "b" / "a.png", SMALL, progress=False)
    assert np.abs(np.asarray(Image.open(output)).astype(int) - (255 - PIXELS.astype(int))).max() <= 1
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["a.png"]


def test_transparent_pixels_stay_so(folder, tmp_path):
    alpha = np.full((96, 96, 1), 255, np.uint8)
    alpha[40:, :50] = 0
    Image.fromarray(np.concatenate([PIXELS, alpha], axis=2)).save(tmp_path / "holes.png")
    output = translate_scene(inverter(folder), tmp_path / "holes.png", tmp_path / "a.png", SMALL, progress=False)
    found = np.asarray(Image.open(output))
    assert found.shape == (96, 96, 4) and np.array_equal(found[..., 3], alpha[..., 0])
    assert not found[40:, :50, :3].any()


def test_a_geotiff_keeps_its_place_and_its_mask(folder, tmp_path, monkeypatch):
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFFs need: pip install 's5_hf[geo]'")
    from s5_hf.scenes import translated_files

    monkeypatch.setattr(translated_files, "BLOCK_SIDE", 32)
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)}
    pixels = np.maximum(PIXELS, 1).transpose(2, 0, 1).copy()
    pixels[:, 70:, :30] = 0
    options = {"count": 3, "width": 96, "height": 96, "dtype": "uint8", "nodata": 0, "driver": "GTiff"}
    with rasterio.open(tmp_path / "scene.tif", "w", **options, **place) as file:
        file.write(pixels)
    output = translate_scene(inverter(folder), tmp_path / "scene.tif", tmp_path / "a.tif", SMALL, progress=False)
    with rasterio.open(output) as file:
        assert file.crs == place["crs"] and file.transform == place["transform"] and file.count == 3
        valid = file.dataset_mask() > 0
        assert np.array_equal(valid, pixels[0] > 0)
        assert np.abs(file.read().astype(int) - (255 - pixels.astype(int)))[:, valid].max() <= 1


def test_the_command_and_what_is_refused(folder, tmp_path):
    def command(*words):
        return CliRunner().invoke(app, ["translate", *map(str, words), "--device", "cpu"], catch_exceptions=False)

    model, scene, output = folder / "model", folder / "scene.png", tmp_path / "a.png"
    assert command(model, scene, output).output.strip().endswith(str(output))
    with pytest.raises(FileExistsError, match=r"a\.png exists already"):
        command(model, scene, output)
    assert command(model, scene, output, "--overwrite").exit_code == 0
    with pytest.raises(ValueError, match="to is 'now', expected before or after"):
        command(model, scene, tmp_path / "b.png", "--to", "now")
    with pytest.raises(ValueError, match=r"expected a name that ends in \.tif, \.tiff or \.png"):
        command(model, scene, tmp_path / "b.jpg")
    with pytest.raises(ValueError, match="would replace the scene"):
        command(model, scene, scene, "--overwrite")
    with pytest.raises(ValueError, match="multiple of 16"):
        command(model, scene, tmp_path / "b.png", "--window", "100")
    with pytest.raises(FileNotFoundError):
        command(model, tmp_path / "none.png", tmp_path / "b.png")
    write_tiny_model(tmp_path / "other")
    with pytest.raises(ValueError, match="expected a translator, as s5-hf train translation makes it"):
        command(tmp_path / "other", scene, tmp_path / "b.png")


def test_nothing_is_left_of_a_run_that_fails(folder, tmp_path):
    class Broken(Inverter):
        def predict(self, pixel_values):
            return torch.full_like(pixel_values, torch.nan)

    model = SRUITModel.from_pretrained(folder / "model")
    broken = Broken(model, "after", image_mean=[0.5] * 3, image_std=[0.5] * 3)
    for name in ("a.png", "a.tif"):
        if name.endswith("tif"):
            pytest.importorskip("rasterio", reason="GeoTIFFs need: pip install 's5_hf[geo]'")
        with pytest.raises(RuntimeError, match="the window at row 0, column 0 of"):
            translate_scene(broken, folder / "scene.png", tmp_path / name, SMALL, progress=False)
    assert not list(tmp_path.iterdir())


class Stopped(TorchTranslator):
    """Is interrupted at a call."""

    stops_at = 1

    def predict(self, pixel_values):
        self.stops_at -= 1
        if self.stops_at < 0:
            raise KeyboardInterrupt
        return super().predict(pixel_values)


@pytest.mark.parametrize(("stops_at", "batch_size"), [(11, 1), (4, 4), (9, 2)])
def test_an_interrupted_translation_resumes_to_the_same_bytes(folder, tmp_path, stops_at, batch_size):
    settings = WindowSettings(window=32, overlap=0.5, batch_size=batch_size)
    whole = load_translator(folder / "model", "after", "cpu")
    translate_scene(whole, folder / "scene.png", tmp_path / "whole.png", settings, progress=False)
    stopped = Stopped(whole.model, "after", image_mean=whole.image_mean, image_std=whole.image_std)
    stopped.stops_at = stops_at
    where, notes = (folder / "scene.png", tmp_path / "a.png", settings), []
    with pytest.raises(KeyboardInterrupt):
        translate_scene(stopped, *where, progress=False, report=notes.append)
    assert "holds the finished rows" in notes[-1] and not (tmp_path / "a.png").exists()
    with pytest.raises(FileExistsError, match="holds the unfinished work of an earlier run"):
        translate_scene(whole, *where, progress=False)
    with pytest.raises(ValueError, match="since then changed: the translator"):
        back = load_translator(folder / "model", "before", "cpu")
        translate_scene(back, *where, resume=True, progress=False, report=notes.append)
    translate_scene(whole, *where, resume=True, progress=False, report=notes.append)
    assert notes[-1].startswith("resuming after row")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "whole.png"]
    translate_scene(whole, *where, resume=True, progress=False, report=notes.append)
    assert notes[-1].endswith("a.png exists already")
