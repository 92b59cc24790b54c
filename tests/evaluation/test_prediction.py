"""Probabilities under a protocol, beside the same made step by step."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from s5_hf.evaluation.segmentation.prediction import class_probabilities
from s5_hf.evaluation.segmentation.protocol import SegmentationProtocol
from s5_hf.modeling.image_processing_s5 import resize_image
from s5_hf.predictors.feature_segmenter import Segmenter
from s5_hf.synthetic import synthetic_scene


@pytest.fixture(scope="module")
def segmenter(model_folder):
    return Segmenter.from_pretrained(model_folder)


@pytest.fixture(scope="module")
def images():
    return np.stack([synthetic_scene((64, 80), seed).image[:48] for seed in range(2)])


def softmax(segmenter, images):
    return segmenter(images).logits.softmax(dim=1)


def test_whole_images(segmenter, images):
    found = class_probabilities(segmenter, images, SegmentationProtocol(), "ab")
    torch.testing.assert_close(found, softmax(segmenter, images))
    assert found.shape == (2, 3, 48, 80)


def test_resized_and_back(segmenter, images):
    smaller = np.stack([resize_image(image, {"height": 32, "width": 32}, 2) for image in images])
    expected = functional.interpolate(softmax(segmenter, smaller), size=(48, 80), mode="bilinear")
    torch.testing.assert_close(class_probabilities(segmenter, images, SegmentationProtocol(resize=32), "ab"), expected)


def test_flips_are_turned_back(segmenter, images):
    protocol = SegmentationProtocol(flips=("none", "horizontal"))
    mirrored = softmax(segmenter, np.ascontiguousarray(images[:, :, ::-1])).flip(3)
    expected = (softmax(segmenter, images) + mirrored) / 2
    torch.testing.assert_close(class_probabilities(segmenter, images, protocol, "ab"), expected)


@pytest.mark.parametrize(("repeat_border", "last"), [(False, 1), (True, 3)])
def test_windows_are_averaged(segmenter, images, repeat_border, last):
    """48 x 80 pixels, windows of 32 every 16: rows start at 0 and 16, columns at 0, 16, 32 and 48."""
    protocol = SegmentationProtocol(window=32, stride=16, repeat_border=repeat_border)
    total, weights = torch.zeros(2, 3, 48, 80), torch.zeros(48, 80)
    for top, row_weight in ((0, 1), (16, last)):
        for left, column_weight in ((0, 1), (16, 1), (32, 1), (48, last)):
            part = np.ascontiguousarray(images[:, top : top + 32, left : left + 32])
            weight = row_weight * column_weight
            total[:, :, top : top + 32, left : left + 32] += weight * softmax(segmenter, part)
            weights[top : top + 32, left : left + 32] += weight
    found = class_probabilities(segmenter, images, protocol, "ab")
    torch.testing.assert_close(found, total / weights)
    torch.testing.assert_close(found.sum(1), torch.ones(2, 48, 80))


def test_images_smaller_than_the_window_are_one_input(segmenter, images):
    found = class_probabilities(segmenter, images, SegmentationProtocol(window=512), "ab")
    torch.testing.assert_close(found, softmax(segmenter, images))
    narrow = class_probabilities(
        segmenter, images, SegmentationProtocol(window=64, stride=64), "ab"
    )  # 48 high, 80 wide
    torch.testing.assert_close(narrow[..., :16], softmax(segmenter, np.ascontiguousarray(images[:, :, :64]))[..., :16])


def test_models_of_other_packages_that_predict_at_a_quarter_of_the_size(images):
    config = SegformerConfig(
        num_labels=4, depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 8, 8], num_attention_heads=[1, 1, 1, 1]
    )
    torch.manual_seed(0)
    segmenter = Segmenter(SegformerForSemanticSegmentation(config), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    found = class_probabilities(segmenter, images, SegmentationProtocol(), "ab")
    assert found.shape == (2, 4, 48, 80)
    torch.testing.assert_close(found, softmax(segmenter, images))
