"""Logits, features and fingerprints, for S5 models and for others."""

import numpy as np
import pytest
import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from s5_hf.modeling.image_processing_s5 import IMAGENET_MEAN, IMAGENET_STD, S5ImageProcessor
from s5_hf.predictors.feature_segmenter import Segmenter, background_index
from tests.curation.conftest import micro_model

PATCHES = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)


def test_logits_equal_those_of_the_processor_and_the_model(segmenter):
    inputs = S5ImageProcessor()(list(PATCHES), return_tensors="pt")
    with torch.inference_mode():
        expected = micro_model()(**inputs).logits
    assert torch.allclose(segmenter(PATCHES).logits, expected, atol=1e-5)


def test_features_are_the_pooled_last_map_of_the_backbone(segmenter):
    inputs = S5ImageProcessor()(list(PATCHES), return_tensors="pt")
    with torch.inference_mode():
        last = micro_model().backbone(**inputs).feature_maps[-1]
    expected = torch.nn.functional.normalize(last.mean(dim=(2, 3)), dim=1)
    assert torch.allclose(segmenter(PATCHES).features, expected, atol=1e-5)
    assert segmenter.feature_size(64) == expected.shape[1]


def test_a_model_of_transformers():
    torch.manual_seed(0)
    config = SegformerConfig(num_labels=4, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], decoder_hidden_size=16)
    model = SegformerForSemanticSegmentation(config).eval()
    prediction = Segmenter(model, IMAGENET_MEAN, IMAGENET_STD)(PATCHES)
    assert prediction.logits.shape == (3, 4, 48, 64)
    inputs = S5ImageProcessor()(list(PATCHES), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        last = model(inputs, output_hidden_states=True).hidden_states[-1]
    expected = torch.nn.functional.normalize(last.mean(dim=(2, 3)), dim=1)
    assert torch.allclose(prediction.features, expected, atol=1e-5)


def test_a_task_of_several():
    model = micro_model(num_experts=2)
    roads = Segmenter(model, IMAGENET_MEAN, IMAGENET_STD, task="roads")
    assert roads.labels == ["ground", "road"]
    assert roads(PATCHES).logits.shape == (3, 2, 48, 64)
    assert roads.fingerprint != Segmenter(model, IMAGENET_MEAN, IMAGENET_STD, task="fields").fingerprint
    with pytest.raises(ValueError, match=r"several tasks.*fields, roads"):
        Segmenter(model, IMAGENET_MEAN, IMAGENET_STD)
    with pytest.raises(ValueError, match="no task 'sea'"):
        Segmenter(model, IMAGENET_MEAN, IMAGENET_STD, task="sea")


def test_bf16_is_close(segmenter):
    half = Segmenter(micro_model(), IMAGENET_MEAN, IMAGENET_STD, precision="bf16")(PATCHES)
    exact = segmenter(PATCHES)
    assert half.logits.dtype == half.features.dtype == torch.float32
    assert not torch.equal(half.logits, exact.logits)
    assert torch.nn.functional.cosine_similarity(half.features, exact.features).min() > 0.99
    with pytest.raises(ValueError, match="fp32, bf16, auto, auto-gpu, got 'fp8'"):
        Segmenter(micro_model(), IMAGENET_MEAN, IMAGENET_STD, precision="fp8")


def test_fingerprint_follows_weights_and_normalisation(segmenter, model_folder):
    assert Segmenter.from_pretrained(model_folder).fingerprint == segmenter.fingerprint
    assert Segmenter(micro_model(seed=1), IMAGENET_MEAN, IMAGENET_STD).fingerprint != segmenter.fingerprint
    assert Segmenter(micro_model(), IMAGENET_MEAN, (0.5, 0.5, 0.5)).fingerprint != segmenter.fingerprint


def test_background():
    labels = ["Land", "background", "water"]
    assert background_index(labels, "auto") == 1
    assert background_index(labels[:1], "auto") is None
    assert background_index(labels, "land") == 0
    assert background_index(labels, 2) == 2
    assert background_index(labels, None) is None
    for unknown in ("sea", 3):
        with pytest.raises(ValueError, match=f"background {unknown!r} is none of .*Land, background, water"):
            background_index(labels, unknown)
