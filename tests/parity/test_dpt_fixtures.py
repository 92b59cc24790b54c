"""DINOv2, its DPT decoder and its checkpoints against those of the official UniMatch V2."""

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoBackbone, AutoModelForSemanticSegmentation, Dinov2Backbone, Dinov2Config

from s5_hf.conversion import convert_checkpoint, export_official
from s5_hf.conversion.unimatch_v2_layout import join_attention, unimatch_v2_name
from s5_hf.modeling import S5Dinov2Config, S5ForSemanticSegmentation, S5SegmentationConfig
from tests.parity.ssl_fixtures import TOLD, TOLERANCE, load, micro_model, published_keys, write_micro_checkpoint

SIZES = {
    "small": ({"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6}, [3, 6, 9, 12], 64),
    "base": ({"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}, [3, 6, 9, 12], 128),
    "large": ({"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}, [5, 12, 18, 24], 256),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return micro_model(tmp_path_factory.mktemp("micro"))


def published(size):
    """A published network without memory for its weights."""
    backbone, taps, channels = SIZES[size]
    config = S5SegmentationConfig(
        backbone_config=S5Dinov2Config(**backbone, image_size=518, out_indices=taps),
        num_labels=21,
        decoder="dpt",
        decoder_channels=channels,
    )
    with torch.device("meta"):
        return S5ForSemanticSegmentation(config)


@torch.no_grad()
@pytest.mark.parametrize("size", ["56x56", "42x56", "70x42"])
def test_tokens(model, size):
    fixture = load("dinov2", f"image_{size}/")
    maps = model.backbone(fixture["image"]).feature_maps
    for block, feature_map in enumerate(maps):
        tokens = feature_map.flatten(2).transpose(1, 2)
        assert_close(tokens, fixture[f"patch_tokens_block{block}_normed"], **TOLERANCE)
    _, _, height, width = fixture["image"].shape
    tokens = torch.zeros(1, 1 + height * width // 14**2, 24)
    positions = model.backbone.embeddings.interpolate_pos_encoding(tokens, height, width)
    assert_close(positions, fixture["position_embedding"], **TOLERANCE)


@torch.no_grad()
def test_the_other_rule_of_positions_gives_other_tokens(model, tmp_path):
    """What the own DINOv2 is for: that of transformers takes the same weights and is off by several percent."""
    model.backbone.save_pretrained(tmp_path)
    config = Dinov2Config.from_dict({**model.backbone.config.to_dict(), "model_type": "dinov2"})
    plain = Dinov2Backbone.from_pretrained(tmp_path, config=config)
    fixture = load("dinov2", "image_42x56/")
    expected = fixture["patch_tokens_block3_normed"]
    tokens = plain(fixture["image"]).feature_maps[3].flatten(2).transpose(1, 2)
    assert 0.02 < (tokens - expected).norm() / expected.norm() < 0.2
    native = load("dinov2", "image_56x56/")
    same = plain(native["image"]).feature_maps[3].flatten(2).transpose(1, 2)
    assert_close(same, native["patch_tokens_block3_normed"], **TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("grid", ["grid_2x4", "grid_3x2"])
def test_decoder(model, grid):
    fixture = load("dpt_head", f"{grid}/")
    height, width = (int(side) for side in grid.removeprefix("grid_").split("x"))
    maps = [fixture[f"tokens{level}"].transpose(1, 2).unflatten(2, (height, width)) for level in (1, 2, 3, 4)]
    features = model.decode_features(maps)
    assert_close(model.classifiers[0](features), fixture["logits_8x"], **TOLERANCE)
    assert_close(model(fixture["image"]).logits, fixture["logits_of_image"], **TOLERANCE)


@torch.no_grad()
def test_other_sizes_are_resized_and_back(model):
    """As the official evaluation: 30 x 41 px become 28 x 42, the logits return to 30 x 41."""
    images = torch.randn(1, 3, 30, 41, generator=torch.Generator().manual_seed(0))
    bilinear = {"mode": "bilinear", "align_corners": True}
    inner = model(torch.nn.functional.interpolate(images, (28, 42), **bilinear)).logits
    assert_close(model(images).logits, torch.nn.functional.interpolate(inner, (30, 41), **bilinear))
    assert model(images[:, :, :3, :5]).logits.shape == (1, 4, 3, 5)


def test_checkpoints_come_back_byte_for_byte(tmp_path):
    original = write_micro_checkpoint(tmp_path / "official.pth")
    for entry, offset in (("model", 0), (None, 1)):
        report = convert_checkpoint(tmp_path / "official.pth", tmp_path / f"{entry}", entry=entry, **TOLD)
        assert report.kind == "UniMatch V2 segmenter" and not report.left_out and not report.new
        export_official(tmp_path / f"{entry}", tmp_path / f"{entry}.pth", **TOLD)
        back = torch.load(tmp_path / f"{entry}.pth", weights_only=True)
        assert set(back) == {"model", "model_ema"}
        for name in back:
            assert set(back[name]) == set(original)
            for key, tensor in original.items():
                assert back[name][key].dtype == tensor.dtype and torch.equal(back[name][key], tensor + offset), key
    assert type(AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "model")) is S5ForSemanticSegmentation


def test_unfit_checkpoints_are_refused(tmp_path):
    tensors = write_micro_checkpoint(tmp_path / "official.pth")
    with pytest.raises(ValueError, match="has no entry 'teacher'; its entries are"):
        convert_checkpoint(tmp_path / "official.pth", tmp_path / "a", entry="teacher", **TOLD)
    with pytest.raises(ValueError, match="24 wide, which is not a known size"):
        convert_checkpoint(tmp_path / "official.pth", tmp_path / "a")
    with pytest.raises(ValueError, match="DINOv2 of 4 blocks is none of the known sizes: give taps"):
        convert_checkpoint(tmp_path / "official.pth", tmp_path / "a", num_attention_heads=3)
    tensors.pop("module.backbone.blocks.2.attn.qkv.bias")
    torch.save({"model": tensors}, tmp_path / "short.pth")
    with pytest.raises(ValueError, match=r"missing \(3\): backbone\.blocks\.2\.attn\.q\.bias"):
        convert_checkpoint(tmp_path / "short.pth", tmp_path / "a", **TOLD)
    assert not (tmp_path / "a").exists()


def test_published_keys_and_parameters():
    keys = published_keys()
    for size, expected in keys["parameters"].items():
        network = published(size)
        assert sum(parameter.numel() for parameter in network.parameters()) == expected["total"]
        assert sum(parameter.numel() for parameter in network.backbone.parameters()) == expected["backbone"]
        width = SIZES[size][0]["hidden_size"]
        levels = {"large": [256, 512, 1024, 1024]}.get(size, [width // part for part in (8, 4, 2, 1)])
        assert network.config.decoder_level_channels == levels, "in the configuration, so that exporting reads them"
    state = published("small").state_dict()
    official = join_attention({unimatch_v2_name(name): tensor for name, tensor in state.items()})
    found = {f"module.{name}": (list(tensor.shape), str(tensor.dtype)) for name, tensor in official.items()}
    assert found == {key: (shape, dtype) for key, shape, dtype in keys["keys"]}


def test_the_backbone_alone_is_found_by_the_auto_classes(model, tmp_path):
    model.backbone.save_pretrained(tmp_path)
    images = torch.randn(1, 3, 42, 70, generator=torch.Generator().manual_seed(0))
    again = AutoBackbone.from_pretrained(tmp_path)
    assert type(again) is type(model.backbone)
    assert torch.equal(again(images).feature_maps[3], model.backbone(images).feature_maps[3])
