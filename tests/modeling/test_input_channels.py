"""Weights for RGB in networks for more or fewer bands."""

import pytest
import torch
from transformers import AutoBackbone, ConvNextConfig, ResNetConfig

from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig, S5ViTConfig
from s5_hf.modeling.input_channels import adapt_input_channels, first_convolution

VIT = S5ViTConfig(hidden_size=32, num_hidden_layers=4, num_attention_heads=4, image_size=64)
RESNET = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic")
CONVNEXT = ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
for config in (RESNET, CONVNEXT):
    config.out_features = ["stage1", "stage2", "stage3", "stage4"]


@pytest.fixture(params=[VIT, RESNET, CONVNEXT], ids=["vit", "resnet", "convnext"])
def model(request):
    torch.manual_seed(0)
    config = S5SegmentationConfig(
        backbone_config=request.param.to_dict(), tasks={"land": ["a", "b"]}, decoder_channels=16
    )
    return S5ForSemanticSegmentation(config).eval()


def test_copied_channels_see_the_same_and_the_number_is_saved(model, tmp_path):
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        before = model(images).logits
        adapt_input_channels(model, 4, ["red", "green", "blue", "mean"])
        after = model(torch.cat([images, torch.zeros(2, 1, 64, 64)], dim=1)).logits
    torch.testing.assert_close(after, before)
    model.save_pretrained(tmp_path)
    loaded = S5ForSemanticSegmentation.from_pretrained(tmp_path).eval()
    assert loaded.config.backbone_config.num_channels == 4
    assert first_convolution(loaded.backbone).in_channels == 4
    with torch.inference_mode():
        bands = torch.randn(1, 4, 64, 64)
        torch.testing.assert_close(loaded(bands).logits, model(bands).logits)


@pytest.mark.parametrize("sources", [["mean"], ["repeat"]])
@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_activations_of_equal_channels_keep_their_size(model, sources, channels):
    convolution = first_convolution(model.backbone)
    weight = convolution.weight.detach().clone()
    adapt_input_channels(model, channels, sources)
    found = convolution.weight.detach()
    assert found.shape == (weight.shape[0], channels, *weight.shape[2:]) and convolution.in_channels == channels
    if sources == ["mean"]:
        torch.testing.assert_close(found.sum(dim=1), weight.sum(dim=1))
    else:
        torch.testing.assert_close(found, weight[:, [index % 3 for index in range(channels)]] * 3 / channels)
    with torch.inference_mode():
        assert model(torch.zeros(1, channels, 64, 64)).logits.isfinite().all()


def test_a_backbone_alone_is_adapted():
    backbone = AutoBackbone.from_config(CONVNEXT)
    adapt_input_channels(backbone, 5, ["3", "2", "1", "1", "mean"])
    assert backbone(torch.zeros(1, 5, 64, 64)).feature_maps[-1].shape[1] == 32
    assert backbone.config.num_channels == 5


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["red", "green"], r"2 sources of weights \(red, green\) for 4 channels"),
        (["red", "green", "blue", "nir"], "source 'nir' of a channel's weights is none of the network's 3 channels"),
        (["1", "2", "3", "4"], "source '4'"),
    ],
)
def test_bad_sources(sources, message):
    with pytest.raises(ValueError, match=message):
        adapt_input_channels(AutoBackbone.from_config(RESNET), 4, sources)


def test_a_network_without_such_a_layer_is_refused():
    with pytest.raises(ValueError, match="Linear cannot take other channels"):
        adapt_input_channels(torch.nn.Linear(3, 4), 4, ["mean"])
