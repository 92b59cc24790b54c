"""Parameter groups: who is decayed, who learns how fast."""

import pytest
import torch
from torch import nn
from transformers import SwinConfig

from s5_hf.modeling import (
    S5EfficientNetLiteBackbone,
    S5EfficientNetLiteConfig,
    S5ForSemanticSegmentation,
    S5SegmentationConfig,
)
from s5_hf.training.optimizer import decoder_distances, make_optimizer, parameter_groups


def by_name(groups, key):
    return {name: group[key] for group in groups for name in group["names"]}


def test_norms_and_positions_are_not_decayed(dense_model):
    decay = by_name(parameter_groups(dense_model, 1e-3, 0.01), "weight_decay")
    assert set(decay) == {name for name, _ in dense_model.named_parameters()}
    undecayed = {name for name, value in decay.items() if value == 0}
    assert undecayed == {name for name in decay if "norm" in name or "position_embeddings" in name}
    assert "backbone.encoder.layers.0.attention_norm.weight" in undecayed
    assert "decoders.0.fusion.norm.bias" in undecayed
    assert decay["backbone.encoder.layers.0.attention.qkv.bias"] == 0.01


def test_relative_positions_of_a_swin_are_not_decayed():
    backbone = SwinConfig(
        embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], out_indices=[1, 2, 3, 4], image_size=64
    )
    config = S5SegmentationConfig(backbone_config=backbone, tasks={"a": ["x", "y"]}, decoder_channels=16)
    model = S5ForSemanticSegmentation(config)
    groups = parameter_groups(model, 1.0, 0.01, layer_decay=0.5)
    decay = by_name(groups, "weight_decay")
    relative = [name for name in decay if "relative_position_bias_table" in name]
    assert len(relative) == 4 and all(decay[name] == 0 for name in relative)
    rates = by_name(groups, "lr")
    tables = [rates[name] for name in rates if name.endswith("relative_position_bias_table")]
    assert tables == sorted(tables) and len(set(tables)) == 4
    assert min(rates.values()) == next(rate for name, rate in rates.items() if "patch_embeddings" in name)


def test_layer_decay_falls_with_the_distance_from_the_decoder(dense_model):
    rates = by_name(parameter_groups(dense_model, 1.0, 0.0, layer_decay=0.5), "lr")
    assert rates["classifiers.0.weight"] == rates["backbone.feature_pyramid.stride8.weight"] == 1.0
    for layer in range(4):
        assert rates[f"backbone.encoder.layers.{layer}.feed_forward.fc1.weight"] == 0.5 ** (4 - layer)
        assert rates[f"backbone.encoder.layers.{layer}.attention_norm.bias"] == 0.5 ** (4 - layer)
    assert rates["backbone.embeddings.projection.weight"] == 0.5**5
    assert rates["backbone.embeddings.position_embeddings"] == 0.5**5


def test_the_encoder_may_be_slower_than_the_decoder(dense_model):
    rates = by_name(parameter_groups(dense_model, 1.0, 0.0, layer_decay=0.5, encoder_rate=0.1), "lr")
    assert rates["classifiers.0.weight"] == 1.0
    assert rates["backbone.feature_pyramid.stride8.weight"] == pytest.approx(0.1)
    assert rates["backbone.encoder.layers.3.feed_forward.fc1.weight"] == pytest.approx(0.05)


def test_experts_belong_to_their_block(moe_model):
    distances = decoder_distances(moe_model)
    assert distances["backbone.encoder.layers.0.feed_forward.experts.1.weight"] == 4


def test_the_stem_of_an_efficientnet_lite_comes_before_its_stages():
    with torch.device("meta"):
        model = nn.ModuleDict({"backbone": S5EfficientNetLiteBackbone(S5EfficientNetLiteConfig())})
    distances = decoder_distances(model)
    assert distances["backbone.stages.3.0.project.weight"] == 1
    assert distances["backbone.stages.0.0.project.weight"] == 4
    assert distances["backbone.stem.weight"] == distances["backbone.stem_norm.bias"] == 5


def test_layer_decay_acts(dense_model):
    """AdamW's first step moves a parameter by its learning rate, wherever there is a gradient."""
    optimizer = make_optimizer(dense_model, 1e-2, 0.0, layer_decay=0.5)
    before = {name: parameter.detach().clone() for name, parameter in dense_model.named_parameters()}
    sum(parameter.sum() for parameter in dense_model.parameters()).backward()
    optimizer.step()
    moved = {n: (before[n] - p.detach()).abs().mean().item() for n, p in dense_model.named_parameters()}
    assert moved["classifiers.0.weight"] == pytest.approx(1e-2, rel=1e-3)
    assert moved["backbone.encoder.layers.0.attention.qkv.weight"] == pytest.approx(1e-2 * 0.5**4, rel=1e-2)


def test_frozen_parameters_are_left_out(dense_model):
    dense_model.backbone.requires_grad_(False)
    names = by_name(parameter_groups(dense_model, 1e-3, 0.01), "lr")
    assert names and not any(name.startswith("backbone.") for name in names)


def test_bad_numbers(dense_model):
    with pytest.raises(ValueError, match=r"layer_decay must be above 0 and at most 1, got 1\.5"):
        parameter_groups(dense_model, 1e-3, 0.01, layer_decay=1.5)
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        make_optimizer(dense_model, -1, 0.01)


def test_it_is_fused_here(dense_model):
    assert make_optimizer(dense_model, 1e-3, 0.01).defaults["fused"] is True
