"""The ViT: any size, attention implementations, experts, checkpointing, outputs, bad input."""

import pytest
import torch
from torch.nn import functional
from transformers import AutoBackbone, AutoModel

from s5_hf.modeling import S5ViTBackbone, S5ViTConfig, S5ViTModel
from s5_hf.modeling.modeling_s5_vit import drop_path
from s5_hf.modeling.vit_embeddings import resize_position_embeddings
from tests.conftest import MICRO_VIT, randomise


def micro_backbone(**settings):
    return randomise(S5ViTBackbone(S5ViTConfig(**{**MICRO_VIT, **settings}))).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize(
    ("size", "grid"), [((64, 64), (4, 4)), ((70, 33), (5, 3)), ((16, 16), (1, 1)), ((1, 100), (1, 7))]
)
def test_any_image_size(size, grid):
    rows, columns = grid
    maps = micro_backbone()(torch.randn(1, 3, *size)).feature_maps
    expected = [(4 * rows, 4 * columns), (2 * rows, 2 * columns), grid, (-(-rows // 2), -(-columns // 2))]
    assert [tuple(feature_map.shape[2:]) for feature_map in maps] == expected
    assert all(feature_map.isfinite().all() for feature_map in maps)


@torch.no_grad()
def test_padding_is_zeros_right_and_below(images):
    backbone = micro_backbone()
    cropped = images[:, :, :60, :50]
    padded = functional.pad(cropped, (0, 14, 0, 4))
    for left, right in zip(backbone(cropped).feature_maps, backbone(padded).feature_maps, strict=True):
        assert torch.equal(left, right)


def test_position_embeddings_are_untouched_at_their_own_grid_and_bicubic_elsewhere():
    embeddings = micro_backbone().embeddings
    assert embeddings.position_embeddings_for((4, 4)) is embeddings.position_embeddings
    stored = embeddings.position_embeddings.detach()
    as_map = stored.reshape(1, 4, 4, 32).permute(0, 3, 1, 2)
    expected = functional.interpolate(as_map, size=(6, 3), mode="bicubic", align_corners=False)
    resized = resize_position_embeddings(stored, (4, 4), (6, 3))
    torch.testing.assert_close(resized.reshape(6, 3, 32), expected[0].permute(1, 2, 0))


@torch.no_grad()
def test_eager_and_sdpa_agree(images):
    backbone = micro_backbone()
    backbone.set_attn_implementation("sdpa")
    fused = backbone(images).feature_maps
    backbone.set_attn_implementation("eager")
    for left, right in zip(fused, backbone(images).feature_maps, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)


def test_sdpa_is_the_default():
    assert micro_backbone().config._attn_implementation == "sdpa"


@torch.no_grad()
def test_hidden_states_and_attentions(images):
    model = randomise(S5ViTModel(S5ViTConfig(**MICRO_VIT))).eval()
    output = model(images, output_hidden_states=True, output_attentions=True)
    assert len(output.hidden_states) == 5
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    assert torch.equal(output.pooler_output, output.last_hidden_state.mean(dim=1))
    assert [tuple(weights.shape) for weights in output.attentions] == [(2, 4, 16, 16)] * 4
    torch.testing.assert_close(output.attentions[2].sum(dim=-1), torch.ones(2, 4, 16))
    plain = model(images)
    assert plain.hidden_states is None
    assert plain.attentions is None
    torch.testing.assert_close(plain.last_hidden_state, output.last_hidden_state, rtol=1e-5, atol=1e-5)
    assert len(model(images, return_dict=False)) == 2


@torch.no_grad()
def test_model_and_backbone_share_a_checkpoint(tmp_path, images):
    backbone = micro_backbone()
    backbone.save_pretrained(tmp_path)
    model = AutoModel.from_pretrained(tmp_path)
    again = AutoBackbone.from_pretrained(tmp_path)
    assert isinstance(model, S5ViTModel)
    assert isinstance(again, S5ViTBackbone)
    last = model(images, output_hidden_states=True).hidden_states[3]
    assert torch.equal(last, backbone(images, output_hidden_states=True).hidden_states[3])
    for left, right in zip(again(images).feature_maps, backbone(images).feature_maps, strict=True):
        assert torch.equal(left, right)


@torch.no_grad()
def test_plain_maps_of_chosen_taps(images):
    backbone = micro_backbone(use_feature_pyramid=False, out_indices=[2, 4])
    maps = backbone(images, output_hidden_states=True)
    assert backbone.channels == [32, 32]
    assert len(maps.feature_maps) == 2
    expected = maps.hidden_states[2].transpose(1, 2).reshape(2, 32, 4, 4)
    assert torch.equal(maps.feature_maps[0], expected)


def test_pyramid_needs_four_taps():
    with pytest.raises(ValueError, match=r"needs four taps, got \['stage2'\]; set use_feature_pyramid=False"):
        micro_backbone(out_indices=[2])


def test_gradient_checkpointing_changes_no_gradient(images):
    gradients = []
    for checkpointing in (False, True):
        backbone = micro_backbone(drop_path_rate=0.0).train()
        if checkpointing:
            backbone.gradient_checkpointing_enable()
        assert any(layer.gradient_checkpointing for layer in backbone.encoder.layers) == checkpointing
        sum(feature_map.square().mean() for feature_map in backbone(images).feature_maps).backward()
        gradients.append({name: parameter.grad for name, parameter in backbone.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-5, atol=1e-6)


def test_drop_path_keeps_the_mean_and_acts_on_whole_samples():
    torch.manual_seed(0)
    dropped = drop_path(torch.ones(20000, 2, 3), rate=0.25, training=True)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (dropped == dropped[:, :1, :1]).all()
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)
    assert torch.equal(drop_path(torch.ones(4, 2, 3), 0.25, training=False), torch.ones(4, 2, 3))


def test_drop_path_grows_linearly():
    layers = S5ViTBackbone(S5ViTConfig(**MICRO_VIT, drop_path_rate=0.3)).encoder.layers
    assert [layer.drop_path_rate for layer in layers] == pytest.approx([0.0, 0.1, 0.2, 0.3])


@torch.no_grad()
def test_experts_by_image(images):
    model = randomise(S5ViTModel(S5ViTConfig(**MICRO_VIT, num_experts=3, expert_channels=8))).eval()
    single = [model(images, expert_index=index).last_hidden_state for index in range(3)]
    assert not torch.allclose(single[0], single[1])
    batch = images[[0, 1, 0, 1]]
    mixed = model(batch, expert_index=[2, 0, 0, 1], output_hidden_states=True)
    for row, (expert, image) in enumerate([(2, 0), (0, 1), (0, 0), (1, 1)]):
        torch.testing.assert_close(mixed.last_hidden_state[row], single[expert][image], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(mixed.hidden_states[-1][row], single[expert][image], rtol=1e-5, atol=1e-5)
    as_tensor = model(batch, expert_index=torch.tensor([2, 0, 0, 1])).last_hidden_state
    assert torch.equal(as_tensor, mixed.last_hidden_state)


@pytest.mark.parametrize(
    ("expert_index", "message"),
    [
        (None, "the model has 3 experts: give expert_index"),
        (3, "expert 3 does not exist: the model has 3 experts"),
        (-1, "expert -1 does not exist"),
        ([0, 1, 2], "got 3 indices for a batch of 2 images"),
        ([0, 5], "expert 5 does not exist"),
    ],
)
def test_unfit_expert_index_is_refused(images, expert_index, message):
    model = S5ViTModel(S5ViTConfig(**MICRO_VIT, num_experts=3, expert_channels=8))
    with pytest.raises(ValueError, match=message):
        model(images, expert_index=expert_index)


def test_a_dense_model_takes_no_expert(images):
    with pytest.raises(ValueError, match="the model is dense and takes no expert_index, got 0"):
        micro_backbone()(images, expert_index=0)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 4, 64, 64), "pixel_values has 4 channels, the model expects 3"),
        ((0, 3, 64, 64), "pixel_values is empty"),
        ((2, 3, 0, 64), "pixel_values is empty"),
        ((3, 64, 64), r"must have the shape \(batch, channels, height, width\), got \(3, 64, 64\)"),
    ],
)
def test_unfit_images_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        micro_backbone()(torch.zeros(shape))


@torch.no_grad()
def test_half_precision_runs(images):
    maps = micro_backbone().to(torch.bfloat16)(images.to(torch.bfloat16)).feature_maps
    assert {feature_map.dtype for feature_map in maps} == {torch.bfloat16}
