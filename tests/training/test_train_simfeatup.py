"""Training of SimFeatUp: resumed exactly, shared by processes, for CLIP and other networks, and what is refused."""

import contextlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoBackbone, ConvNextConfig, ResNetBackbone, ResNetConfig

from s5_hf.modeling import S5ImageProcessor, S5ViTConfig, S5ViTModel, SimFeatUpUpsampler
from s5_hf.modeling.simfeatup import JointBilateralUpsampler
from s5_hf.predictors import processor_kernels
from s5_hf.training import read_log
from s5_hf.training.simfeatup.colour_start import code_colours, start_from_colours
from s5_hf.training.simfeatup.featurizer import load_featurizer
from s5_hf.training.simfeatup.jitter import random_jitter
from s5_hf.training.simfeatup.kind import SimFeatUpTraining
from s5_hf.training.simfeatup.network import LEFT_OUT, AttentionDownsampler, SimFeatUpNetwork, blur
from s5_hf.training.simfeatup.recipe import SimFeatUpRecipe, SimFeatUpSettings
from tests.fresh_process import run_in_processes
from tests.open_models import write_tiny_model
from tests.training.pretraining import random_samples, run_example

SMALL = [
    *("--upsampler", "jbu_stack", "--jitters", "2", "--jitter_padding", "4", "--projections", "3"),
    *("--crop_size", "16", "--batch_size", "2", "--num_workers", "0", "--first_steps", "1"),
    *("--trackers", "none", "--logging_steps", "1"),
]
RESULT = "upsampler/simfeatup.safetensors"


@pytest.fixture(scope="module")
def featurizer(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("open") / "model")


def run(folder, featurizer, *arguments):
    train(folder, featurizer, *arguments)
    return load_file(folder / RESULT)


def train(folder, featurizer, *arguments):
    words = [*SMALL, "--featurizer", str(featurizer), *arguments]
    run_example("train_simfeatup", folder, words, random_samples(6, 1, size=48))


def test_a_run_changes_every_weight_and_resumes_exactly(tmp_path, featurizer):
    whole = run(tmp_path / "whole", featurizer, "--total_steps", "2")
    assert {name.split(".")[1] for name in whole} == {"up1", "up2", "up3", "up4", "fixup_proj"}
    log = read_log(tmp_path / "whole")
    assert [entry["step"] for entry in log] == [1, 2]
    assert log[0]["loss"] == pytest.approx(log[0]["reconstruction"] + 0.1 * log[0]["content"], rel=1e-4)
    short = ("--total_steps", "2", "--checkpoint_steps", "1")
    run(tmp_path / "parts", featurizer, *short)
    first = load_file(tmp_path / "parts" / "checkpoints" / "step-00000001" / RESULT)
    assert all(not torch.equal(first[name], tensor) for name, tensor in whole.items())
    (tmp_path / "parts" / "checkpoints" / "step-00000002").rename(tmp_path / "lost")
    parts = run(tmp_path / "parts", featurizer, *short, "--resume", "auto")
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())


TWO_PROCESSES = """
import sys
from pathlib import Path
from tests.training.test_train_simfeatup import train
train(Path(sys.argv[1]), *sys.argv[2:])
print("ended")
"""


def test_two_processes_make_the_step_of_one(tmp_path, featurizer):
    one = run(tmp_path / "one", featurizer, "--total_steps", "2")
    run_in_processes(2, TWO_PROCESSES, tmp_path / "two", featurizer, "--total_steps", "2", "--batch_size", "1")
    two = load_file(tmp_path / "two" / RESULT)
    logs = [[entry["loss"] for entry in read_log(tmp_path / name)] for name in ("one", "two")]
    assert logs[1] == pytest.approx(logs[0], rel=1e-4)
    # A step of NAdam is 0.001 for a gradient of any size, also for one that is a rounding error: hence the means.
    for name, tensor in one.items():
        assert (two[name] - tensor).abs().mean() < 5e-5, name


def test_bad_settings(tmp_path, featurizer):
    with pytest.raises(ValueError, match="featurizer is missing"):
        run_example("train_simfeatup", tmp_path, SMALL, [])
    with pytest.raises(ValueError, match="crop_size is 36, expected a multiple of the featurizer's patches of 8 px"):
        run(tmp_path, featurizer, "--crop_size", "36")
    with pytest.raises(ValueError, match=r"crop_size is 16, expected .* 24 or more"):
        run(tmp_path, featurizer, "--crop_size", "16", "--upsampler", "jbu_one")
    with pytest.raises(ValueError, match="jitter_padding is 32, expected less than crop_size 16"):
        run(tmp_path, featurizer, "--jitter_padding", "32")
    config = ConvNextConfig(depths=[1] * 2, hidden_sizes=[4] * 2, num_stages=2)
    AutoBackbone.from_config(config).save_pretrained(tmp_path / "shallow")
    S5ImageProcessor().save_pretrained(tmp_path / "shallow")
    with pytest.raises(ValueError, match=r"shallow has maps at strides 4, 8, expected one at stride 16"):
        run(tmp_path, tmp_path / "shallow")
    with pytest.raises(FileNotFoundError, match=r"the featurizer .*nowhere cannot be loaded"):
        run(tmp_path, tmp_path / "nowhere")
    (tmp_path / "upsampler").mkdir()
    with pytest.raises(FileExistsError, match="upsampler exists already"):
        run(tmp_path, featurizer)


def test_any_vision_transformer_gives_features(tmp_path):
    config = S5ViTConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=64, image_size=64
    )
    network = S5ViTModel(config).eval()
    network.save_pretrained(tmp_path)
    S5ImageProcessor(image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(tmp_path)
    found = load_featurizer(str(tmp_path), mean=[0.4] * 3, std=[0.2] * 3)
    assert (found.channels, found.patch_size) == (32, 16)
    images = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    features = found.featurize((images - 0.4) / 0.2)
    with torch.no_grad():
        tokens = network(pixel_values=(images - 0.5) / 0.5).last_hidden_state
    assert features.shape == (1, 32, 2, 3)
    torch.testing.assert_close(features[0, :, 1, 2], tokens[0, 5], rtol=1e-4, atol=1e-5)


def write_resnet(folder):
    """Its maps are at strides 4, 8, 16 and 32."""
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 6, 8, 10], depths=[1] * 4, layer_type="basic")
    torch.manual_seed(0)
    network = ResNetBackbone(config).eval()
    network.save_pretrained(folder)
    S5ImageProcessor(image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(folder)
    return network


def test_a_backbone_in_stages_gives_features_of_its_patches(tmp_path):
    network = write_resnet(tmp_path)
    found = load_featurizer(str(tmp_path), mean=[0.4] * 3, std=[0.2] * 3)
    assert (found.channels, found.patch_size) == (8, 16)
    images = torch.randn(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    features = found.featurize(images)
    assert features.shape == (1, 8, 3, 4)
    with torch.no_grad():
        expected = network((images * 0.2 + 0.4 - 0.5) / 0.5, output_hidden_states=True).hidden_states[3]
    expected = (expected - expected.mean(dim=1)) / expected.std(dim=1, correction=0)
    torch.testing.assert_close(features, expected, rtol=1e-2, atol=1e-3)


def test_copies_differ_and_keep_their_size():
    generator = torch.Generator().manual_seed(0)
    jitters = [random_jitter(24, 6, 2.0, generator) for _ in range(200)]
    assert 70 < sum(jitter.zoom > 1 for jitter in jitters) < 130
    assert 70 < sum(jitter.flip for jitter in jitters) < 130
    assert max(jitter.top for jitter in jitters if jitter.zoom == 1) == 12
    image = torch.rand(1, 2, 24, 24, generator=generator)
    assert all(jitter(image).shape == image.shape for jitter in jitters)


def test_a_copy_is_computed_again_with_the_kernels_of_its_forward_pass(monkeypatch):
    monkeypatch.setattr(processor_kernels, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(processor_kernels, "_WORTHWHILE", 0)
    torch.manual_seed(0)
    network = SimFeatUpNetwork(4, 8, SimFeatUpSettings(upsampler="jbu_stack", jitters=2, jitter_padding=4))
    gradients = []
    for kernels in (contextlib.nullcontext(), processor_kernels.ProcessorKernels()):
        network.zero_grad()
        with kernels:
            images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
            losses = network(images, torch.tensor([5]), lambda seen: functional.avg_pool2d(seen, 8)[:, [0, 1, 2, 0]])
        sum(losses.values()).backward()  # outside, where the training calls it
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def test_a_patch_that_is_left_out_is_averaged_blindly():
    downsampler = AttentionDownsampler(channels=3, patch_size=4).eval()
    features = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    blind = downsampler(features, torch.full((2, 2), LEFT_OUT))
    weights = downsampler.b.flatten().softmax(dim=0).view(4, 4)
    expected = (blur(features)[0, :, :4, 4:] * weights).sum(dim=(1, 2))
    torch.testing.assert_close(blind[0, :, 0, 1], expected)
    assert not torch.allclose(downsampler(features, torch.ones(2, 2)), blind, atol=1e-4)


def test_a_start_from_colours_keeps_to_pixels_of_like_colour():
    mean, std = (0.4, 0.5, 0.3), (0.2, 0.25, 0.3)
    torch.manual_seed(0)
    upsampler = SimFeatUpUpsampler(4, "jbu_stack").eval()
    corrections = [module.fixup_proj[3].weight.clone() for module in joint_modules(upsampler)]
    start_from_colours(upsampler, mean, std)
    unit = torch.full((1, 3, 12, 12), 0.5)
    unit[:, 1, :, 6:] = 0.75
    image = (unit - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    for module, correction in zip(joint_modules(upsampler), corrections, strict=True):
        assert torch.equal(module.fixup_proj[3].weight, correction)
        kernels = (module.range_kernels(image) * module.spatial_kernel()).detach()
        shares = (kernels / kernels.sum(dim=1, keepdim=True)).unflatten(1, (7, 7))[0, :, :, 6]
        # Pixel 5 is the last of the left colour, so columns 4 to 6 of its taps see the other one, and so on.
        assert shares[:, 4:, 5].sum() < 1e-3
        assert shares[:, :3, 6].sum() < 1e-3
        # Where all is alike, only the distance counts.
        torch.testing.assert_close(shares[:, :, 2] / shares[3, 3, 2], module.spatial_kernel()[0].detach().view(7, 7))


@pytest.mark.parametrize(("start", "width", "log_temperature"), [("random", 1, 0), ("colours", 0.7, 3.3)])
def test_a_recipe_names_the_start(featurizer, start, width, log_temperature):
    recipe = SimFeatUpRecipe.make(featurizer=str(featurizer), upsampler="jbu_stack", start=start)
    modules = joint_modules(SimFeatUpTraining(recipe).make_model().upsampler)
    assert len(modules) == 4
    for module in modules:
        assert module.sigma_spatial.item() == pytest.approx(width)
        assert module.range_temp.item() == pytest.approx(log_temperature)
        assert (module.range_proj[0].weight.count_nonzero() == 30) == (start == "colours")


def joint_modules(upsampler):
    return [module for module in upsampler.modules() if isinstance(module, JointBilateralUpsampler)]


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_keys_of_two_colours_are_alike_where_their_brightness_is(first, second):
    keys = torch.nn.Sequential(torch.nn.Conv2d(1, 10, 1), torch.nn.GELU(), torch.nn.Conv2d(10, 8, 1))
    code_colours(keys[0], keys[2], [0.5], [0.25])
    one, other = ((torch.full((1, 1, 1, 1), value) - 0.5) / 0.25 for value in (first, second))
    with torch.no_grad():
        product = (keys(one) * keys(other)).sum().item()
        norms = [keys(value).square().sum().item() for value in (one, other)]
    assert all(0.3 < norm < 1.5 for norm in norms)
    if abs(first - second) > 0.3:
        assert abs(product) < 0.15
    if abs(first - second) < 0.02:
        assert product > 0.8 * min(norms)
