"""SegEarth-R1: what it takes and gives, what it refuses, saving and loading, checkpoints of the release."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close
from transformers import AutoModel, AutoProcessor

from s5_hf.conversion import convert_checkpoint, export_official
from s5_hf.conversion.segearth_r1_layout import to_release
from s5_hf.modeling import (
    SegEarthR1Config,
    SegEarthR1ForPixelReasoning,
    SegEarthR1ImageProcessor,
    SegEarthR1Processor,
)
from s5_hf.modeling.point_mask_loss import PointRule
from s5_hf.modeling.prompt_sequence import IMAGE
from tests.numerics import assert_equal_but_for_rounding
from tests.reasoning_models import QUESTIONS, SIDE, TINY_VIT, tiny_processor, tiny_reasoner, write_tiny_reasoner

PLAIN_VIT = {
    "model_type": "dinov2",
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}


@pytest.fixture
def images():
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (40, 64, 3), np.uint8), generator.integers(0, 256, (70, 50, 3), np.uint8)]


@torch.no_grad()
@pytest.mark.parametrize("settings", [{}, {"backbone_config": {**TINY_VIT, "patch_size": 8}}])
def test_saved_and_loaded_it_gives_the_same_masks(tmp_path, images, settings):
    write_tiny_reasoner(tmp_path / "model", **settings)
    model = AutoModel.from_pretrained(tmp_path / "model")
    processor = AutoProcessor.from_pretrained(tmp_path / "model")
    assert isinstance(model, SegEarthR1ForPixelReasoning) and isinstance(processor, SegEarthR1Processor)
    assert processor.image_processor.side == SIDE and not model.training
    inputs = processor(images=images, text=QUESTIONS[:2])
    output, expected = model(**inputs), tiny_reasoner(**settings)(**inputs)
    assert_equal_but_for_rounding(output.mask_logits, expected.mask_logits)
    assert output.mask_logits.shape == (2, 1, SIDE // 4, SIDE // 4)
    assert len(output.auxiliary_logits) == 2 and output.loss is None and output.language_logits is None
    masks = processor.post_process_masks(output, [image.shape[:2] for image in images])
    assert [mask.shape for mask in masks] == [(40, 64), (70, 50)] and masks[0].dtype == torch.bool


@torch.no_grad()
@pytest.mark.parametrize(
    "backbone",
    [
        TINY_VIT,
        {**TINY_VIT, "patch_size": 8},
        {**TINY_VIT, "use_feature_pyramid": False},
        {**PLAIN_VIT, "patch_size": 8},
        {**PLAIN_VIT, "patch_size": 14},
    ],
    ids=["strides 4 to 32", "strides 2 to 16", "stride 16", "stride 8", "stride 14"],
)
def test_maps_of_any_backbone_are_brought_to_the_strides_of_the_decoders(images, backbone):
    model = tiny_reasoner(backbone_config=backbone)
    inputs = tiny_processor()(images=images, text=QUESTIONS[:2])
    maps, own = model.encode_images(inputs["pixel_values"]), model.backbone(inputs["pixel_values"]).feature_maps
    assert [one.shape[2] for one in maps] == [SIDE // stride for stride in (4, 8, 16, 32)]
    for values, before in zip(maps, own, strict=True):
        factor = before.shape[2] / values.shape[2]
        if factor >= 1:
            torch.testing.assert_close(values, functional.adaptive_avg_pool2d(before, values.shape[2:]))
        assert factor != 1 or torch.equal(values, before)
        assert values.amax() <= before.amax() + 1e-6 and values.amin() >= before.amin() - 1e-6
    assert model(**inputs).mask_logits.shape == (2, 1, SIDE // 4, SIDE // 4)


@torch.no_grad()
def test_a_question_does_not_depend_on_the_others_of_its_batch(images):
    model, processor = tiny_reasoner(), tiny_processor()
    together = model(**processor(images=images, text=QUESTIONS[:2])).mask_logits
    for row in range(2):
        alone = model(**processor(images=images[row], text=QUESTIONS[row])).mask_logits
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)
    other = model(**processor(images=images[0], text=QUESTIONS[2])).mask_logits
    assert (other[0] - together[0]).abs().max() > 1e-6
    maps = model.encode_images(processor(images=images, text=QUESTIONS[:2])["pixel_values"])
    inputs = {**processor(images=images, text=QUESTIONS[:2])}
    del inputs["pixel_values"]
    assert_equal_but_for_rounding(model(feature_maps=maps, **inputs).mask_logits, together)


def test_losses_reach_every_part_but_the_frozen_encoder(images):
    model, processor = tiny_reasoner().train(), tiny_processor()
    assert not model.backbone.training and model.mask_decoder.training
    masks = [np.ones((40, 64), np.uint8), np.zeros((70, 50), np.uint8)]
    inputs = processor(images=images, text=QUESTIONS[:2], answers=["the river", ""], segmentation_maps=masks)
    assert inputs["mask_labels"].sum() == 40 * 64  # the frame around the first image is background
    output = model(**inputs, point_seeds=[1, 2])
    assert set(output.loss_parts) == {"cross_entropy", "dice", "language"}
    expected = 5 * output.loss_parts["cross_entropy"] + 5 * output.loss_parts["dice"] + output.loss_parts["language"]
    torch.testing.assert_close(output.loss, expected)
    output.loss.backward()
    without = {name for name, one in model.named_parameters() if one.grad is None}
    assert without and all(name.startswith("backbone.") for name in without)
    again = model(**inputs, point_seeds=torch.tensor([1, 2]))
    assert torch.equal(again.loss, output.loss)
    alone = [
        model(
            **processor(images=images[row], text=QUESTIONS[row], segmentation_maps=masks[row]), point_seeds=[row + 1]
        ).loss_parts["dice"]
        for row in range(2)
    ]
    torch.testing.assert_close(sum(alone) / 2, output.loss_parts["dice"], rtol=1e-4, atol=1e-5)
    trained = tiny_reasoner(freeze_backbone=False).train()
    assert trained.backbone.training
    trained(**inputs).loss.backward()
    assert trained.backbone.swin.embeddings.norm.weight.grad is not None


def test_new_decoders_start_as_officially():
    decoder = tiny_reasoner().mask_decoder
    linear = decoder.pixel_decoder.encoder.layers[0].fc1
    assert 0.15 < linear.weight.std() < 0.2  # (2 / (32 + 32)) ** 0.5 = 0.177
    assert 0.15 < decoder.pixel_decoder.mask_projection.weight.std() < 0.2
    attention = decoder.pixel_decoder.encoder.layers[0].self_attn
    assert not attention.sampling_offsets.weight.any() and not attention.attention_weights.weight.any()
    offsets = attention.sampling_offsets.bias.view(2, 3, 4, 2)  # heads, levels, points, x and y
    assert_close(offsets[:, 1, :, 0], torch.tensor([[1.0, 2, 3, 4], [-1, -2, -3, -4]]))
    assert 0.08 < decoder.decoder.mask_predictor.mask_embedder.layers[0].layers[0].weight.std() < 0.12  # 1 / 96 ** 0.5


def test_points_belong_to_an_image():
    rule = PointRule(points=8, oversampling=3, uncertain_share=0.75)
    (first, others), *_ = rule.draw([3, 4], outputs=2)
    (alone, _), *_ = rule.draw([4], outputs=2)
    assert first.shape == (2, 24, 2) and others.shape == (2, 2, 2) and torch.equal(first[1], alone[0])
    assert first.min() >= 0 and first.max() < 1


def test_images_and_questions_are_checked(images):
    model, processor = tiny_reasoner(), tiny_processor()
    with pytest.raises(ValueError, match="2 images and 1 questions"):
        processor(images=images, text=QUESTIONS[0])
    with pytest.raises(ValueError, match="question 1 of 1 is empty"):
        processor(images=images[0], text=" ")
    with pytest.raises(ValueError, match="kind is 'guessing'"):
        processor(images=images[0], text=QUESTIONS[0], kind="guessing")
    inputs = processor(images=images, text=QUESTIONS[:2])
    with pytest.raises(ValueError, match="the model takes 64 x 64"):
        model(**{**inputs, "pixel_values": torch.zeros(2, 3, 32, 64)})
    with pytest.raises(ValueError, match="an image has 1"):
        model(**{**inputs, "input_ids": inputs["input_ids"].masked_fill(inputs["input_ids"] == IMAGE, 1)})
    with pytest.raises(ValueError, match="one of pixel_values and feature_maps"):
        model(input_ids=inputs["input_ids"], refer_mask=inputs["refer_mask"])
    output = model(**inputs)
    with pytest.raises(ValueError, match="got 1 target sizes for 2 images"):
        processor.post_process_masks(output, [(40, 64)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 100}, "image_size is 100, expected a positive multiple of 32"),
        ({"decoder_heads": 3, "decoder_channels": 32}, "decoder_channels is 32"),
        ({"uncertain_share": 1.5}, "uncertain_share is 1.5"),
        ({"train_points": 0}, "train_points is 0"),
        ({"language_config": {"model_type": "parrot"}}, "'parrot'"),
    ],
)
def test_configurations_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        SegEarthR1Config(**settings)


def test_the_published_sizes():
    config = SegEarthR1Config()
    assert config.language_config.model_type == "phi" and config.vocab_size == 50297
    assert (config.backbone_config.embed_dim, config.backbone_config.depths) == (128, [2, 2, 18, 2])
    again = SegEarthR1Config.from_dict(json.loads(config.to_json_string()))
    assert again.backbone_config.window_size == 12 and again.hidden_size == 2048


def test_a_place_in_the_frame_is_where_the_image_lies():
    processor = SegEarthR1ImageProcessor(size=64)
    rows, columns = processor.place((30, 61))
    assert (columns.start, columns.stop) == (0, 64) and rows.stop - rows.start == 31 and rows.start == 16


def test_checkpoints_of_the_release_and_back(tmp_path):
    model = tiny_reasoner(projector_channels=64, projector_heads=1, image_size=SIDE)
    release = to_release(model.state_dict(), heads=2)
    assert "model.layers.0.self_attn.query_key_value.weight" in release
    assert not any(name.startswith(("language_model.", "backbone.", "mask_decoder.")) for name in release)
    torch.save({**release, "seg_query": torch.ones(2, 2)}, tmp_path / "release.bin")
    tiny_processor().tokenizer.save_pretrained(tmp_path / "words")
    report = convert_checkpoint(
        tmp_path / "release.bin", tmp_path / "model", num_attention_heads=2, tokenizer=tmp_path / "words"
    )
    assert report.kind == "SegEarth-R1" and report.left_out == ["seg_query"]
    loaded = AutoModel.from_pretrained(tmp_path / "model")
    for name, tensor in model.state_dict().items():
        if not name.startswith("backbone.swin.layernorm."):
            assert torch.equal(tensor, loaded.state_dict()[name]), name
    export_official(tmp_path / "model", tmp_path / "back.bin")
    written = torch.load(tmp_path / "back.bin", weights_only=True)
    assert written.keys() == release.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in release.items())
    torch.save({"lm_head.weight": torch.ones(1), "SEG_token_projector.weight": torch.ones(1)}, tmp_path / "poor.bin")
    with pytest.raises(ValueError, match=r"lacks model\.embed_tokens\.weight"):
        convert_checkpoint(tmp_path / "poor.bin", tmp_path / "nothing")
    with pytest.warns(UserWarning, match="the model takes no questions"):
        convert_checkpoint(
            tmp_path / "release.bin", tmp_path / "mute", num_attention_heads=2, tokenizer=tmp_path / "nowhere"
        )
