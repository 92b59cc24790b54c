"""Forward passes of converted checkpoints against the official ones."""

import pytest
import torch

from s5_hf.modeling import S5ForSemanticSegmentation, S5ViTBackbone
from tests.parity.conftest import assert_close

TASKS = ("vaihingen", "potsdam", "openearthmap", "loveda")


@torch.no_grad()
def test_s4p_segmenter(converted, arrays):
    expected = arrays("micro_s4p_io")
    model = S5ForSemanticSegmentation.from_pretrained(converted("micro_s4p_upernet"))
    feature_maps = model.backbone(expected["input"]).feature_maps
    for level, feature_map in enumerate(feature_maps):
        assert_close(feature_map, expected[f"encoder_out{level}"])
    assert_close(model.decode_features(feature_maps), expected["decoder_feature"])
    assert_close(model(expected["input"]).logits, expected["logits"])


@torch.no_grad()
def test_s4p_encoder_alone(converted, arrays):
    expected = arrays("micro_s4p_io")
    backbone = S5ViTBackbone.from_pretrained(converted("micro_s4p"))
    for level, feature_map in enumerate(backbone(expected["input"]).feature_maps):
        assert_close(feature_map, expected[f"encoder_out{level}"])


@torch.no_grad()
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("task", TASKS)
def test_mixture_of_experts(converted, arrays, task, implementation):
    expected = arrays("micro_mdf_moe_io")
    folder = converted("micro_mdf_moe_upernet")
    model = S5ForSemanticSegmentation.from_pretrained(folder, attn_implementation=implementation)
    assert_close(model(expected["input"], task=task).logits, expected[f"logits_{task}"])
    assert_close(model.merge_experts(task)(expected["input"]).logits, expected[f"logits_{task}"])


@torch.no_grad()
def test_mixed_batch(converted, arrays):
    expected = arrays("micro_mdf_moe_io")
    model = S5ForSemanticSegmentation.from_pretrained(converted("micro_mdf_moe_upernet"))
    names = ["loveda", "vaihingen", "loveda", "openearthmap", "potsdam"]
    rows = [0, 1, 1, 0, 1]
    logits = model(expected["input"][rows], task=names).logits
    for image, name, row in zip(logits, names, rows, strict=True):
        assert_close(image, expected[f"logits_{name}"][row])


@torch.no_grad()
def test_mae_encoder(converted, arrays):
    expected = arrays("tiny_mae_io")
    ours = S5ViTBackbone.from_pretrained(converted("tiny_mae_ckpt", image_size=64)).state_dict()
    official = S5ViTBackbone.from_pretrained(converted("tiny_mae_loaded_encoder"))
    # The pyramid is new in both; everything that comes from MAE must agree.
    for name, tensor in official.state_dict().items():
        if not name.startswith("feature_pyramid."):
            assert_close(ours[name], tensor)
    assert_close(ours["embeddings.position_embeddings"], expected["pos_embed"])
    for level, feature_map in enumerate(official(expected["input"]).feature_maps):
        assert_close(feature_map, expected[f"encoder_out{level}"])


@torch.no_grad()
def test_encoder_with_two_experts(converted, arrays):
    expected = arrays("tiny_moe2_io")
    backbone = S5ViTBackbone.from_pretrained(converted("tiny_moe2_encoder"))
    for index, task in enumerate(("dior", "dota")):
        for level, feature_map in enumerate(backbone(expected["input"], expert_index=index).feature_maps):
            assert_close(feature_map, expected[f"encoder_{task}_out{level}"])


def test_experts_from_dense(converted):
    dense = S5ForSemanticSegmentation.from_pretrained(converted("micro_s4p_upernet"))
    official = S5ForSemanticSegmentation.from_pretrained(converted("micro_mdf_init_after"))
    ours = S5ForSemanticSegmentation.from_dense(dense, official.config.tasks, expert_channels=8)
    assert list(ours.config.tasks) == list(TASKS)
    after = official.state_dict()
    for name, tensor in ours.state_dict().items():
        if not name.startswith("classifiers."):  # the official heads keep their own random values
            assert torch.equal(tensor, after[name]), name
