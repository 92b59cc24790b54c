"""Models of transformers as segmenters of scenes."""

import pytest
import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from s5_hf.export.metadata import ExportMetadata
from s5_hf.hub.normalization import processor_input
from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor, S5SegmentationConfig, S5ViTConfig
from s5_hf.modeling.value_scaling import ValueScaling
from s5_hf.predictors.torch_segmenter import TorchSegmenter, load_segmenters
from tests.numerics import assert_equal_but_for_rounding
from tests.scenes.segmenters import PixelSegmenter

TASKS = {"loveda": ["background", "building", "road"], "potsdam": ["car", "tree"]}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    vit = S5ViTConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=64, num_experts=2, expert_channels=8
    )
    return S5ForSemanticSegmentation(
        S5SegmentationConfig(backbone_config=vit, tasks=TASKS, decoder_channels=16)
    ).eval()


@pytest.fixture
def pixel_values():
    return torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


def test_a_mixture_of_experts_is_merged_into_its_task(model, pixel_values):
    segmenter = TorchSegmenter(model, "potsdam")
    assert (segmenter.num_labels, segmenter.id2label) == (2, {0: "car", 1: "tree"})
    assert list(segmenter.model.config.tasks) == ["potsdam"]
    with torch.inference_mode():
        expected = model(pixel_values, task="potsdam").logits
    assert_equal_but_for_rounding(segmenter.predict(pixel_values), expected)


def test_other_models_are_brought_to_the_size_of_the_image(pixel_values):
    config = SegformerConfig(
        depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8, num_labels=3
    )
    segmenter = TorchSegmenter(SegformerForSemanticSegmentation(config))
    assert segmenter.predict(pixel_values).shape == (2, 3, 64, 48)
    assert segmenter.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    with pytest.raises(ValueError, match="'loveda' was given, but SegformerForSemanticSegmentation has no tasks"):
        TorchSegmenter(SegformerForSemanticSegmentation(config), "loveda")


def test_bfloat16_stays_close_and_comes_back_as_float32(model, pixel_values):
    plain, half = TorchSegmenter(model, "loveda"), TorchSegmenter(model, "loveda", precision="bf16")
    logits = half.predict(pixel_values)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, plain.predict(pixel_values))
    assert (logits - plain.predict(pixel_values)).abs().max() < 0.1 * plain.predict(pixel_values).abs().max()


def test_fingerprints_follow_what_decides_the_prediction(model):
    prints = {
        TorchSegmenter(model, "loveda").fingerprint,
        TorchSegmenter(model, "potsdam").fingerprint,
        TorchSegmenter(model, "loveda", precision="bf16").fingerprint,
        TorchSegmenter(model, "loveda", image_mean=(0, 0, 0)).fingerprint,
    }
    assert len(prints) == 4
    assert TorchSegmenter(model, "loveda").fingerprint in prints


def test_the_tasks_are_listed(model):
    with pytest.raises(ValueError, match=r"several tasks, choose one .*loveda, potsdam"):
        TorchSegmenter(model)
    with pytest.raises(ValueError, match="no task 'isaid'; its tasks: loveda, potsdam"):
        TorchSegmenter(model, "isaid")
    with pytest.raises(ValueError, match="fp32, bf16, auto, auto-gpu, got 'fp8'"):
        TorchSegmenter(model, "loveda", precision="fp8")


def test_a_folder_brings_its_normalisation_along(tmp_path, model, pixel_values):
    model.merge_experts("loveda").save_pretrained(tmp_path)
    S5ImageProcessor(rescale_factor=1.0, image_mean=[127.5] * 3, image_std=[51.0] * 3).save_pretrained(tmp_path)
    first, second = load_segmenters(tmp_path, devices=("cpu", "cpu"))
    assert first.image_mean == pytest.approx((0.5, 0.5, 0.5))
    assert first.image_std == pytest.approx((0.2, 0.2, 0.2))
    assert first.model is not second.model
    assert torch.equal(first.predict(pixel_values), second.predict(pixel_values)), "the same bits: weights are aligned"
    assert first.name == str(tmp_path)


def test_segmenters_are_taken_as_they_are():
    segmenter = PixelSegmenter()
    assert load_segmenters(segmenter) == [segmenter]
    assert load_segmenters([segmenter, segmenter]) == [segmenter, segmenter]
    with pytest.raises(ValueError, match="options of torch models"):
        load_segmenters(segmenter, precision="bf16")


def test_a_model_of_other_bands_keeps_them_in_its_exported_metadata_and_is_refused_with_another_processor(tmp_path):
    backbone = S5ViTConfig(hidden_size=32, num_hidden_layers=4, num_attention_heads=4, image_size=64, num_channels=4)
    config = S5SegmentationConfig(backbone_config=backbone.to_dict(), tasks={"land": ["a", "b"]}, decoder_channels=16)
    network = S5ForSemanticSegmentation(config)
    scaling = ValueScaling((0.0, 1.0, 2.0, 3.0), (9.0, 8.0, 7.0, 300.0))
    processor = S5ImageProcessor(
        image_mean=[0.5] * 4, image_std=[0.2] * 4, value_scaling=scaling.to_dict(), bands=["nir", 1, 2, 3]
    )
    for saved in (network, processor):
        saved.save_pretrained(tmp_path)
    (segmenter,) = load_segmenters(tmp_path)
    assert (segmenter.value_scaling, segmenter.bands) == (scaling, ("nir", 1, 2, 3))
    settings = processor_input(processor, "model")
    metadata = ExportMetadata.of(network.merge_experts(None), settings)
    assert ExportMetadata.from_strings(metadata.to_strings(), "file") == metadata
    assert metadata.value_scaling == scaling.to_dict() and metadata.bands == ("nir", 1, 2, 3)
    plain = TorchSegmenter(network, image_mean=[0.5] * 4, image_std=[0.2] * 4)
    assert plain.fingerprint != segmenter.fingerprint
    S5ImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"takes 4 channels, but its image processor \(image_mean\) gives it 3"):
        load_segmenters(tmp_path)
