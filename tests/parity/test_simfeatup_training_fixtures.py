"""A step of SimFeatUp's training against the official code: features, losses, gradients and NAdam."""

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close
from transformers import CLIPConfig, CLIPModel

from s5_hf.conversion.open_clip_layout import from_open_clip, to_open_clip
from s5_hf.modeling.clip_dense_features import last_block_input
from s5_hf.training.simfeatup.featurizer import of_clip
from s5_hf.training.simfeatup.jitter import Jitter
from s5_hf.training.simfeatup.kind import SimFeatUpTraining
from s5_hf.training.simfeatup.network import Draws, SimFeatUpNetwork
from s5_hf.training.simfeatup.recipe import SimFeatUpRecipe, SimFeatUpSettings
from tests.parity.fixtures import Sample, sample
from tests.parity.open_vocabulary_fixtures import TOLERANCE, arrays, clip_of, image_tower, settings, under

NAME = "ov_simfeatup_train"


def official_featurizer():
    sizes = settings(NAME)["config"]
    vision = image_tower(sizes, sizes["size"])
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    clip = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=sizes["C"]))
    missing, unexpected = clip.load_state_dict(from_open_clip(under(NAME, "featurizer/")), strict=False)
    assert not unexpected
    assert all(name.startswith(("text_", "logit_scale")) for name in missing)
    return of_clip(clip)


def official_network():
    sizes = settings(NAME)["config"]
    network = SimFeatUpNetwork(
        sizes["C"], sizes["kernel"], SimFeatUpSettings(jitters=sizes["jit"], projections=sizes["proj"])
    )
    network.load_state_dict(under(NAME, "before/"))
    return network.eval()  # the fixture has all dropout off


def official_draws():
    fixture, config = arrays(NAME), settings(NAME)
    return [
        Draws(
            Jitter(config["config"]["max_pad"], entry["zoom"], entry["x"], entry["y"], entry["flip"]),
            functional.normalize(fixture[f"jitter{number}/projection_raw"][0], dim=0),
            fixture[f"jitter{number}/patch_dropout_uniform"][0, :, :, 0],
        )
        for number, entry in enumerate(config["jitters"])
    ]


def test_features_are_what_goes_into_the_last_block():
    featurizer, fixture = official_featurizer(), arrays(NAME)
    assert (featurizer.channels, featurizer.patch_size) == (6, 16)
    assert_close(featurizer.featurize(fixture["image"]), fixture["low_res_features"], **TOLERANCE)
    clip, others = clip_of("ov_clip_last_block"), arrays("ov_clip_last_block")
    for case, image in (("square", "image"), ("other_size", "image_other_size")):
        features = last_block_input(clip, others[image]).flatten(2).transpose(1, 2)
        assert_close(features, others[f"simfeatup_features/{case}"], **TOLERANCE)


def test_copies_are_down_sampled():
    network, fixture = official_network(), arrays(NAME)
    high = network.upsample(fixture["low_res_features"], fixture["image"])
    for number, draws in enumerate(official_draws()):
        assert_close(draws.jitter(fixture["image"]), fixture[f"jitter{number}/image"], **TOLERANCE)
        down = network.downsampler(draws.jitter(high), draws.patch_numbers)
        assert_close(down, fixture[f"jitter{number}/downsampled"], **TOLERANCE)
        uncertainty = network.scale_net(fixture[f"jitter{number}/features"])
        assert_close(uncertainty, fixture[f"jitter{number}/uncertainty"], **TOLERANCE)


def test_losses_gradients_and_a_step(monkeypatch):
    network, fixture = official_network(), arrays(NAME)
    draws = iter(official_draws())
    monkeypatch.setattr(network, "draw", lambda *arguments: next(draws))
    kind = SimFeatUpTraining(SimFeatUpRecipe.make(featurizer="clip"))
    kind.featurizer = official_featurizer()
    optimizer = kind.make_optimizer(network, 1)

    output = kind.step(network, {"image": fixture["image"], "seed": torch.tensor([0])}, 0)
    assert_close(output.loss, fixture["loss_total"], **TOLERANCE)
    assert_close(output.scalars["reconstruction"], fixture["loss_rec"], **TOLERANCE)
    assert_close(output.scalars["content"], fixture["loss_rec_img"], **TOLERANCE)

    output.loss.backward()
    for name, parameter in network.named_parameters():
        expected = fixture[f"gradient_norm/{name}"]
        assert_close(parameter.grad.norm(), expected, **TOLERANCE)
        if f"gradient/{name}" in fixture:
            error = (parameter.grad - fixture[f"gradient/{name}"]).norm()
            assert error <= 1e-4 * expected + 1e-6, name
    assert [kind.gradient_clip(step) for step in (0, 9, 10)] == [1e-4, 1e-4, None]
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), kind.gradient_clip(0))
    assert_close(norm, fixture["gradient_norm_before_clip"], **TOLERANCE)
    optimizer.step()
    compared = [name for name in network.state_dict() if f"after/{name}" in fixture]
    assert len(compared) > 15
    for name in compared:
        assert_close(network.state_dict()[name], fixture[f"after/{name}"], **TOLERANCE)


def test_open_clip_and_transformers_name_the_same_tensors():
    ours, theirs = under("ov_clip_last_block", "transformers/"), under("ov_clip_last_block", "openclip/")
    converted = to_open_clip(ours)
    assert converted.keys() == theirs.keys()
    for name, tensor in theirs.items():
        if isinstance(tensor, Sample):
            assert tuple(converted[name].shape) == tuple(tensor.shape)
            assert torch.equal(sample(converted[name], tensor.step), tensor.values), name
        else:
            assert torch.equal(converted[name], tensor), name
    back = from_open_clip(converted)
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in ours.items())


@pytest.mark.parametrize(("quick_gelu", "extra"), [(True, 3), (False, 0)])
def test_the_activation_travels_with_the_numbers_of_openai(quick_gelu, extra):
    ours = under("ov_clip_last_block", "transformers/")
    assert len(to_open_clip(ours, quick_gelu)) == len(to_open_clip(ours)) + extra
