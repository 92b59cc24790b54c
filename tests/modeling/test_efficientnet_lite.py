"""EfficientNet-Lite: shapes, padding as in TensorFlow, published names, and what is refused."""

import pytest
import torch
from torch.nn import functional
from transformers import AutoBackbone

from s5_hf.conversion import convert_checkpoint
from s5_hf.conversion.efficientnet_lite_layout import published_name
from s5_hf.modeling import S5EfficientNetLiteBackbone, S5EfficientNetLiteConfig, S5ForSemanticSegmentation
from s5_hf.modeling.modeling_s5_efficientnet_lite import SamePaddedConvolution
from tests.numerics import assert_equal_but_for_rounding

HEAD = {"_conv_head.weight": torch.ones(4, 320, 1, 1), "_bn1.bias": torch.ones(4), "_fc.weight": torch.ones(9, 4)}


def published(backbone):
    """The tensors of a backbone as the file of the Python package index names them, with a classifier."""
    name_of = published_name(backbone.config)
    return {**{name_of(name): tensor for name, tensor in backbone.state_dict().items()}, **HEAD}


@pytest.fixture(scope="module")
def lite0():
    torch.manual_seed(0)
    return S5EfficientNetLiteBackbone(S5EfficientNetLiteConfig()).eval()


def test_published_sizes():
    widths = {1.0: [24, 40, 112, 320], 1.1: [24, 48, 120, 352], 1.2: [32, 48, 136, 384], 1.4: [32, 56, 160, 448]}
    for factor, channels in widths.items():
        assert S5EfficientNetLiteConfig(width_factor=factor).hidden_sizes == channels
    with torch.device("meta"):
        small, large = (
            S5EfficientNetLiteBackbone(S5EfficientNetLiteConfig(*factors)) for factors in ((1.0, 1.0), (1.4, 1.8))
        )
    # Lite0 has 4,652,008 parameters as published: 1,692,160 of them in the head and the classifier.
    assert sum(parameter.numel() for parameter in small.parameters()) == 4_652_008 - (320 * 1280 + 2 * 1280 + 1281_000)
    assert [len(stage) for stage in small.stages] == [3, 2, 6, 5]
    assert [len(stage) for stage in large.stages] == [5, 4, 12, 9]


@pytest.mark.parametrize("side", [32, 33, 45])
def test_maps_cover_any_image(lite0, side):
    with torch.no_grad():
        maps = lite0(torch.randn(2, 3, side, 40)).feature_maps
    rows = [-(-side // stride) for stride in (4, 8, 16, 32)]
    assert [tuple(one.shape) for one in maps] == [
        (2, channels, row, -(-40 // stride))
        for channels, row, stride in zip([24, 40, 112, 320], rows, (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize(("side", "before", "after"), [(8, 1, 2), (7, 2, 2)])
def test_an_odd_pixel_of_padding_comes_last(side, before, after):
    convolution = SamePaddedConvolution(1, 1, 5, 2, bias=False)
    pixels = torch.randn(1, 1, side, side)
    padded = functional.pad(pixels, [before, after, before, after])
    assert torch.equal(convolution(pixels), functional.conv2d(padded, convolution.weight, stride=2))


def test_stochastic_depth_acts_in_training_only():
    backbone = S5EfficientNetLiteBackbone(S5EfficientNetLiteConfig(drop_path_rate=0.9)).eval()
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(backbone(pixels).feature_maps[3], backbone(pixels).feature_maps[3])
        backbone.train()
        assert not torch.equal(backbone(pixels).feature_maps[3], backbone(pixels).feature_maps[3])


def test_conversion_of_the_published_file(lite0, tmp_path):
    torch.save(published(lite0), tmp_path / "efficientnet-lite0.pth")
    report = convert_checkpoint(tmp_path / "efficientnet-lite0.pth", tmp_path / "encoder")
    assert (report.kind, sorted(report.left_out), report.new) == ("EfficientNet-Lite encoder", sorted(HEAD), [])
    backbone = AutoBackbone.from_pretrained(tmp_path / "encoder").eval()
    pixels = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        for found, expected in zip(backbone(pixels).feature_maps, lite0(pixels).feature_maps, strict=True):
            assert_equal_but_for_rounding(found, expected)
    model = S5ForSemanticSegmentation.from_backbone(str(tmp_path / "encoder"), {"roofs": ["roof", "other"]})
    with torch.no_grad():
        assert model.eval()(pixels, task="roofs").logits.shape == (1, 2, 32, 32)


def test_other_files_are_refused(lite0, tmp_path):
    state = published(lite0)
    del state["_blocks.0._bn1.bias"]
    torch.save(state, tmp_path / "holes.pth")
    with pytest.raises(ValueError, match=r"missing \(1\): _blocks.0._bn1.bias"):
        convert_checkpoint(tmp_path / "holes.pth", tmp_path / "encoder")
    fewer = {name: tensor for name, tensor in published(lite0).items() if "_blocks.15." not in name}
    torch.save(fewer, tmp_path / "fewer.pth")
    with pytest.raises(
        ValueError, match="has 15 blocks that end with 192 channels; EfficientNet-Lite has 16 and 320, 21"
    ):
        convert_checkpoint(tmp_path / "fewer.pth", tmp_path / "encoder")
    torch.save({**published(lite0), "_blocks.1._se_reduce.weight": torch.ones(1)}, tmp_path / "plain.pth")
    with pytest.raises(ValueError, match="unknown layout"):
        convert_checkpoint(tmp_path / "plain.pth", tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()


def test_a_factor_must_be_positive():
    with pytest.raises(ValueError, match="width_factor must be positive, got 0"):
        S5EfficientNetLiteConfig(width_factor=0)
