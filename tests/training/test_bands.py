"""Training on other bands and depths than RGB of 8 bits: views, recipes, what is measured, inherited and saved."""

import json

import numpy as np
import pytest
import torch
import yaml
from accelerate.state import AcceleratorState
from transformers import AutoConfig, AutoImageProcessor

from s5_hf.evaluation import EvaluationSettings, run_evaluation
from s5_hf.modeling.value_scaling import ValueScaling
from s5_hf.predictors.torch_segmenter import load_segmenters
from s5_hf.scenes import segment_scene
from s5_hf.training.image_input import settle_input
from s5_hf.training.running import carry_out
from s5_hf.training.segmentation.kind import JointSegmentation
from s5_hf.training.segmentation.recipe import SegmentationDataSettings, SegmentationRecipe
from s5_hf.training.views.strong import color_positions, strong_view
from s5_hf.training.views.strong_draws import StrongAugmentation, draw_strong_parameters
from s5_hf.training.views.weak import SampleView, WeakView
from tests.band_files import block_bands, write_bands, write_dataset

rasterio = pytest.importorskip("rasterio", reason="bands need rasterio (the extra geo)")

BANDS = ["nir", "red", "green", "blue"]
MICRO = [
    *("--mode", "sdf", "--hidden_size", "32", "--num_hidden_layers", "4", "--num_attention_heads", "4"),
    *("--decoder_channels", "16", "--crop_size", "64", "--num_workers", "0", "--batch_size", "2", "--epochs", "1"),
    *("--learning_rate", "1e-3", "--total_steps", "2", "--validation_steps", "0", "--trackers", "none"),
    *("--datasets", "field", "--field.dataset", "s5-image-mask", "--field.classes", "soil", "crop", "water"),
]


def train(folder, output, *arguments):
    AcceleratorState._reset_state(reset_partial_state=True)
    words = [*MICRO, "--field.data_dir", str(folder), "--output_dir", str(output), *arguments]
    carry_out(JointSegmentation(SegmentationRecipe.read(words)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("bands") / "data", train=4, val=2)


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("run")
    train(folder, output, "--bands", *BANDS)
    return output


def test_channels_ranges_mean_and_deviation_come_from_the_data_and_stay_with_the_model(run):
    processor = AutoImageProcessor.from_pretrained(run / "segmenter")
    assert processor.bands == BANDS and len(processor.image_mean) == 4
    assert AutoConfig.from_pretrained(run / "segmenter").backbone_config.num_channels == 4
    values = np.concatenate([block_bands(seed)[0].reshape(4, -1) for seed in range(1, 4)], axis=1)[[3, 0, 1, 2]]
    for channel, (low, high) in enumerate(zip(*processor.value_scaling.values(), strict=True)):
        assert {low, high} != {0.0}
        assert min(low, high) >= values[channel].min() and max(low, high) <= values[channel].max()
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    assert recipe["image_mean"] == processor.image_mean and len(recipe["value_range"]) == 8


def test_a_scene_is_predicted_as_its_tiles_are_whatever_the_order_of_its_bands(run, tmp_path):
    values = np.concatenate([block_bands(7)[0], block_bands(8)[0]], axis=2)[:, :64, :128]
    values[:, :5, :5] = 0
    names = ("red", "green", "blue", "nir")
    scene = write_bands(tmp_path / "scene.tif", values, names, nodata=0)
    turned = write_bands(tmp_path / "turned.tif", values[::-1], names[::-1], nodata=0)
    maps = []
    for path in (scene, turned):
        output = path.with_name(f"map_{path.name}")
        segment_scene(str(run / "segmenter"), path, output, progress=False, report=lambda line: None)
        with rasterio.open(output) as dataset:
            maps.append(dataset.read(1))
    np.testing.assert_array_equal(*maps)
    assert (maps[0][:5, :5] == 255).all() and (maps[0] == 255).sum() == 25
    (segmenter,) = load_segmenters(str(run / "segmenter"))
    processor = AutoImageProcessor.from_pretrained(run / "segmenter")
    pixels = np.ma.masked_array(values[[3, 0, 1, 2]].transpose(1, 2, 0))
    pixels[:5, :5] = np.ma.masked
    inputs = processor(pixels, return_tensors="pt")["pixel_values"]
    expected = segmenter.predict(inputs)[0].argmax(dim=0).numpy()
    valid = maps[0] != 255
    np.testing.assert_array_equal(maps[0][valid], expected[valid])


def test_evaluation_reads_the_bands_that_the_model_was_trained_on(run, folder, tmp_path):
    AcceleratorState._reset_state(reset_partial_state=True)
    settings = EvaluationSettings(str(run / "segmenter"), "s5-image-mask", str(folder))
    results = run_evaluation(settings)
    assert results.images == 2 and results.scores is not None
    turned = EvaluationSettings(str(run / "segmenter"), "s5-image-mask", str(folder), options={"bands": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"shape \(72, 72, 3\), expected 4 channels"):
        run_evaluation(turned)


def test_a_run_goes_on_with_the_ranges_of_the_network_it_starts_from(run, tmp_path):
    darker = write_dataset(tmp_path / "darker", train=2, val=1)
    for path in sorted(darker.rglob("*.tif")):
        values, _ = block_bands(int(path.stem))
        write_bands(path, values // 2, ("red", "green", "blue", "nir"))
    train(darker, tmp_path / "out", "--segmenter", str(run / "segmenter"), "--total_steps", "1")
    name = "preprocessor_config.json"
    first, second = (json.loads((path / "segmenter" / name).read_text()) for path in (run, tmp_path / "out"))
    assert first == second


def test_weights_for_rgb_are_adapted_where_the_recipe_says_how(folder, tmp_path):
    train(folder, tmp_path / "rgb", "--bands", "red", "green", "blue", "--total_steps", "1")
    start = ["--encoder", str(tmp_path / "rgb" / "encoder"), "--total_steps", "1", "--bands", *BANDS]
    with pytest.raises(ValueError, match="the network takes 3 channels, the images have 4: choose as many with bands"):
        train(folder, tmp_path / "refused", *start)
    train(folder, tmp_path / "four", *start, "--channel_weights", "mean", "red", "green", "blue")
    assert AutoConfig.from_pretrained(tmp_path / "four" / "segmenter").backbone_config.num_channels == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image_mean", "0.5", "0.5", "--image_std", "1", "1"], "images have 4 channels, image_mean has 2"),
        (["--value_range", "0", "1", "2"], "3 numbers for 4 bands"),
        (["--value_percentiles", "9", "2"], "value_percentiles must be two rising numbers"),
        (["--bands", "red", "swir"], "has no band called 'swir'"),
    ],
)
def test_bad_settings(folder, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        train(folder, tmp_path, *arguments)


def test_rgb_images_of_8_bits_are_not_looked_at():
    class Unseen(list):
        def __iter__(self):
            raise AssertionError("the images were looked at")

    settings = SegmentationDataSettings()
    before = (list(settings.image_mean), list(settings.image_std))
    settle_input(settings, [[{"image": np.zeros((8, 8, 3), np.uint8)}]])
    assert (settings.image_mean, settings.image_std) == before and settings.value_range is None


def test_views_know_where_the_colours_are():
    assert color_positions(None, 3) == (0, 1, 2) and color_positions(None, 4) is None
    assert color_positions(["nir", "Blue", "green", "red"], 4) == (3, 2, 1)
    images = torch.rand(2, 4, 16, 16)
    seeds, augmentation = [3, 4], StrongAugmentation(jitter_probability=1.0, blur_probability=0.0)
    rgb = strong_view(images[:, [3, 2, 1]], draw_strong_parameters(seeds, 16, augmentation))
    drawn = draw_strong_parameters(seeds, 16, augmentation, channels=4)
    seen = strong_view(images, drawn, (3, 2, 1))
    assert torch.equal(seen[:, [3, 2, 1]], rgb)
    gain, gamma, offset = drawn.bands[:, 0].unbind(dim=1)
    expected = (gain[:, None, None] * images[:, 0] ** gamma[:, None, None] + offset[:, None, None]).clamp(0, 1)
    torch.testing.assert_close(seen[:, 0], expected)
    assert seen.min() >= 0 and seen.max() <= 1
    alone = strong_view(images, drawn, None)
    torch.testing.assert_close(alone[:, 0], expected)
    assert not torch.equal(alone[:, 1], images[:, 1]) and not torch.equal(alone[:, 1], seen[:, 1])


def test_nodata_of_images_without_labels_is_ignored_in_their_view():
    values, _ = block_bands(0)
    pixels = np.ma.masked_array(values.transpose(1, 2, 0))
    pixels[:30] = np.ma.masked
    scaling = ValueScaling((0.0,) * 4, (3000.0,) * 4)
    view = SampleView(WeakView(72, (1.0, 1.0), flip_probability=0.0), 0, "unlabelled", channels=4, scaling=scaling)
    row = view({"image": pixels, "id": "a"}, 0)
    assert row["image"].shape == (4, 72, 72)
    assert (row["labels"][:30] == 255).all() and (row["labels"][30:] == 0).all()
    assert (row["image"][:, :30] == 0).all() and row["image"][:, 30:].max() > 100
    with pytest.raises(ValueError, match="unlabelled image 'a' has 3 channels, the model takes 4"):
        view({"image": pixels[:, :, :3], "id": "a"}, 0)
