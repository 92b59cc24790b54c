"""The DPT decoder on other backbones, saved and loaded, and what it refuses."""

import pytest
import torch
from safetensors import safe_open
from torch.testing import assert_close
from transformers import (
    AutoModelForSemanticSegmentation,
    Dinov2Config,
    Dinov2Model,
    DINOv3ViTConfig,
    SegformerConfig,
    SegformerForImageClassification,
)

from s5_hf.export.size_free_graph import SizeFreeGraph
from s5_hf.hub.to_hub import stage_for_hub
from s5_hf.modeling import S5Dinov2Config, S5ForSemanticSegmentation, S5SegmentationConfig, S5ViTConfig
from s5_hf.training.pretraining.recipe import PretrainingModelSettings
from s5_hf.training.pretraining.starting_model import starting_model
from tests.conftest import randomise

TINY = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 64}
BACKBONES = {
    "S5 ViT": lambda: S5ViTConfig(**TINY, out_indices=[1, 2, 3, 4], use_feature_pyramid=False),
    "DINOv2": lambda: Dinov2Config(**{**TINY, "image_size": 70}, out_indices=[1, 2, 3, 4]),
    "own DINOv2": lambda: S5Dinov2Config(**{**TINY, "image_size": 70}, out_indices=[1, 2, 3, 4]),
    "DINOv3": lambda: DINOv3ViTConfig(**TINY, intermediate_size=32, out_indices=[1, 2, 3, 4]),
}


def segmenter(backbone_config, **settings):
    torch.manual_seed(0)
    config = S5SegmentationConfig(backbone_config, num_labels=3, decoder="dpt", decoder_channels=8, **settings)
    return S5ForSemanticSegmentation(config).eval()


@torch.no_grad()
@pytest.mark.parametrize("backbone", BACKBONES)
def test_any_plain_vit_at_any_size(backbone, tmp_path):
    model = randomise(segmenter(BACKBONES[backbone]())).eval()
    images = torch.randn(2, 3, 65, 50, generator=torch.Generator().manual_seed(0))
    logits = model(images).logits
    assert logits.shape == (2, 3, 65, 50) and logits.std() > 0
    model.save_pretrained(tmp_path)
    again = AutoModelForSemanticSegmentation.from_pretrained(tmp_path)
    assert type(again) is S5ForSemanticSegmentation and again.config.decoder == "dpt"
    assert torch.equal(again(images).logits, logits)


def test_every_part_but_the_unused_learns():
    model = segmenter(BACKBONES["DINOv2"]()).train()
    model(torch.randn(1, 3, 28, 28), labels=torch.zeros(1, 28, 28, dtype=torch.long)).loss.backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    unused = {name for name in without if name.startswith("decoders.0.fusions.3.skip_unit.")}
    assert len(unused) == 4 and without - unused == {"backbone.embeddings.mask_token"}


def test_new_weights_are_those_of_torch():
    """Kaiming uniform with a = sqrt(5): within 1 / sqrt(inputs), which the weights nearly reach."""
    model = segmenter(BACKBONES["DINOv2"]())
    for layer in (model.decoders[0].output, model.classifiers[0], model.decoders[0].resizes[0]):
        bound = torch.nn.init._calculate_correct_fan(layer.weight, "fan_in") ** -0.5
        assert 0.8 * bound < layer.weight.abs().max() <= bound
        assert layer.bias.abs().max() <= bound


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="needs maps of one grid: give the S5 ViT use_feature_pyramid=False"):
        segmenter(S5ViTConfig(**TINY, out_indices=[1, 2, 3, 4]))
    with pytest.raises(ValueError, match="needs four feature maps and four decoder_level_channels, got 2 maps"):
        segmenter(Dinov2Config(**TINY, out_indices=[2, 4]))
    with pytest.raises(ValueError, match=r"four decoder_level_channels, got 4 maps and \[1, 2\]"):
        segmenter(BACKBONES["DINOv2"](), decoder_level_channels=[1, 2])
    with pytest.raises(ValueError, match="decoder is 'fpn', expected one of upernet, dpt, segformer"):
        S5SegmentationConfig(decoder="fpn")
    with pytest.raises(ValueError, match="image_fit is 'crop', expected one of pad, resize"):
        S5SegmentationConfig(image_fit="crop")
    model = segmenter(BACKBONES["DINOv2"]())
    with pytest.raises(ValueError, match="maps of one grid"):
        model.decode_features([torch.zeros(1, 16, side, side) for side in (8, 4, 2, 1)])


@torch.no_grad()
def test_segformer_is_a_backbone(tmp_path):
    """Four maps, also out of a checkpoint of a whole SegFormer; its decoder brings a deeper classifier."""
    settings = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 3, 4]}
    whole = SegformerForImageClassification(SegformerConfig(**settings)).eval()
    whole.save_pretrained(tmp_path / "whole")
    model = starting_model(
        PretrainingModelSettings(encoder=str(tmp_path / "whole"), decoder="segformer", decoder_channels=8),
        "land",
        ["a", "b"],
        64,
    ).eval()
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    maps = model.backbone(images).feature_maps
    assert [tuple(level.shape) for level in maps] == [(1, 8, 16, 24), (1, 16, 8, 12), (1, 24, 4, 6), (1, 32, 2, 3)]
    assert torch.equal(maps[3], whole.segformer(images).last_hidden_state)
    model.save_pretrained(tmp_path / "model")
    again = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "model")
    assert torch.equal(again(images).logits, model(images).logits)
    again.add_task("sea", ["c", "d", "e"])
    assert again(images, task="sea").logits.shape == (1, 3, 64, 96)


@torch.no_grad()
@pytest.mark.parametrize("swiglu", [False, True], ids=["mlp", "swiglu"])
def test_weights_of_dinov2_arrive_under_the_names_of_published_files(tmp_path, swiglu):
    whole = Dinov2Model(Dinov2Config(**{**TINY, "image_size": 70}, use_swiglu_ffn=swiglu)).eval()
    whole.save_pretrained(tmp_path / "whole")
    with safe_open(tmp_path / "whole" / "model.safetensors", "pt") as file:
        assert "encoder.layer.0.attention.attention.query.weight" in set(file.keys())
    settings = PretrainingModelSettings(encoder=str(tmp_path / "whole"), decoder="dpt", decoder_channels=8)
    model = starting_model(settings, "land", ["a", "b"], 70).eval()
    images = torch.randn(1, 3, 70, 70, generator=torch.Generator().manual_seed(0))
    tokens = model.backbone(images).feature_maps[3].flatten(2).transpose(1, 2)
    assert_close(tokens, whole(images).last_hidden_state[:, 1:])
    model.save_pretrained(tmp_path / "model")
    again = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "model")
    assert_close(again(images).logits, model(images).logits)


def test_pushed_with_its_code(tmp_path):
    model = segmenter(BACKBONES["own DINOv2"]())
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "stage").mkdir()
    stage_for_hub(tmp_path / "model", tmp_path / "stage", "me/dpt")
    assert {"dpt.py", "modeling_s5_dinov2.py", "configuration_s5_dinov2.py"} <= {
        path.name for path in (tmp_path / "stage").iterdir()
    }
    again = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "stage", trust_remote_code=True)
    images = torch.randn(1, 3, 30, 40)
    with torch.no_grad():
        assert torch.equal(again(images).logits, model(images).logits)


def test_exporting_another_decoder_is_refused():
    model = segmenter(BACKBONES["S5 ViT"]())
    with pytest.raises(ValueError, match="only models with the upernet decoder can be exported, this one has 'dpt'"):
        SizeFreeGraph(model)
