"""Normalisation in front of a segmenter."""

import torch

from s5_hf.modeling import S5ImageProcessor
from s5_hf.predictors.interfaces import SceneSegmenter
from s5_hf.predictors.normalization import normalize_pixels
from tests.scenes.segmenters import PixelSegmenter


def test_normalisation_is_that_of_the_image_processor():
    processor = S5ImageProcessor()
    segmenter = PixelSegmenter(num_labels=3)
    segmenter.image_mean, segmenter.image_std = processor.image_mean, processor.image_std
    pixels = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    expected = processor([image.numpy() for image in pixels], return_tensors="pt")["pixel_values"]
    values = normalize_pixels(pixels, segmenter)
    torch.testing.assert_close(values, expected, atol=1e-6, rtol=1e-6)


def test_the_protocol_tells_segmenters_from_other_things():
    assert isinstance(PixelSegmenter(num_labels=3), SceneSegmenter)
    assert not isinstance(torch.nn.Conv2d(3, 4, 1), SceneSegmenter)
