"""The image processor: values, channel orders, labels, class maps, bad input."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor

from s5_hf.modeling import S5ImageProcessor, S5SegmenterOutput

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_values_are_rescaled_and_normalised(pixels):
    result = S5ImageProcessor()(pixels, return_tensors="pt")["pixel_values"]
    expected = ((pixels / 255 - MEAN) / STD).transpose(2, 0, 1)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result[0].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_all_kinds_of_images_give_the_same(pixels):
    processor = S5ImageProcessor()
    expected = processor(pixels, return_tensors="np")["pixel_values"]
    kinds = [
        Image.fromarray(pixels),
        [Image.fromarray(pixels)],
        pixels.transpose(2, 0, 1),
        torch.from_numpy(pixels),
        pixels[None],
        Image.fromarray(pixels).convert("RGBA"),
    ]
    for image in kinds:
        np.testing.assert_array_equal(processor(image, return_tensors="np")["pixel_values"], expected)


def test_grey_images_are_repeated_over_the_channels():
    grey = np.full((8, 8), 100, dtype=np.uint8)
    processor = S5ImageProcessor(do_normalize=False)
    from_array = processor(grey, return_tensors="np")["pixel_values"]
    from_pillow = processor(Image.fromarray(grey), return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(from_array, np.full((1, 3, 8, 8), 100 / 255), rtol=1e-6)
    np.testing.assert_array_equal(from_array, from_pillow)


def test_more_channels_than_three():
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 5), dtype=np.uint8)
    processor = S5ImageProcessor(image_mean=[0.5] * 5, image_std=[0.2] * 5)
    result = processor(image, return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(result[0], ((image / 255 - 0.5) / 0.2).transpose(2, 0, 1), rtol=1e-4, atol=1e-5)
    resized = processor(image, do_resize=True, size={"height": 16, "width": 18}, return_tensors="np")
    assert resized["pixel_values"].shape == (1, 5, 16, 18)


def test_labels_follow_the_images(pixels):
    labels = np.arange(600).reshape(20, 30) % 5
    processor = S5ImageProcessor(do_resize=True, size={"height": 40, "width": 60})
    batch = processor([pixels, pixels], [labels, Image.fromarray(labels.astype(np.uint8))], return_tensors="pt")
    assert batch["pixel_values"].shape == (2, 3, 40, 60)
    assert batch["labels"].dtype == torch.int64
    np.testing.assert_array_equal(batch["labels"][0].numpy(), labels.repeat(2, axis=0).repeat(2, axis=1))
    assert torch.equal(batch["labels"][0], batch["labels"][1])


def test_class_maps_with_and_without_target_sizes():
    logits = torch.zeros(2, 3, 4, 4)
    logits[0, 2] = 1
    logits[1, 1, :, 2:] = 1
    maps = S5ImageProcessor().post_process_semantic_segmentation(S5SegmenterOutput(logits=logits))
    assert torch.equal(maps[0], torch.full((4, 4), 2))
    assert torch.equal(maps[1][0], torch.tensor([0, 0, 1, 1]))
    output = S5SegmenterOutput(logits=[logits[0], logits[1, :2]])
    resized = S5ImageProcessor().post_process_semantic_segmentation(output, target_sizes=[(4, 4), (8, 6)])
    assert [tuple(class_map.shape) for class_map in resized] == [(4, 4), (8, 6)]
    assert torch.equal(resized[1][0], torch.tensor([0, 0, 1, 1, 1, 1]))


def test_saved_and_loaded(tmp_path):
    S5ImageProcessor(do_resize=True, size={"height": 8, "width": 9}, image_mean=[0.1, 0.2, 0.3]).save_pretrained(
        tmp_path
    )
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert isinstance(loaded, S5ImageProcessor)
    assert loaded.size == {"height": 8, "width": 9}
    assert loaded.image_mean == [0.1, 0.2, 0.3]
    assert loaded.do_resize


def test_unfit_images_are_refused(pixels):
    processor = S5ImageProcessor()
    with pytest.raises(ValueError, match=r"must have one size, got \(height, width\) \[\(10, 30\), \(20, 30\)\]"):
        processor([pixels, pixels[:10]])
    with pytest.raises(ValueError, match=r"shape \(20, 30, 4\), expected 3 channels, first or last"):
        processor(np.zeros((20, 30, 4), dtype=np.uint8))
    with pytest.raises(ValueError, match="no images were given"):
        processor([])
    with pytest.raises(ValueError, match="mode 'F', expected 8 bits per channel"):
        processor(Image.fromarray(np.zeros((4, 4), dtype=np.float32)))
    with pytest.raises(TypeError, match="expected a Pillow image, an array or a tensor, got int"):
        processor(7)


def test_unfit_labels_are_refused(pixels):
    processor = S5ImageProcessor()
    with pytest.raises(ValueError, match=r"segmentation map 0 has the shape \(20, 31\), its image \(20, 30\)"):
        processor(pixels, np.zeros((20, 31), dtype=np.uint8))
    with pytest.raises(ValueError, match="got 2 segmentation maps for 1 images"):
        processor(pixels, [np.zeros((20, 30), dtype=np.uint8)] * 2)
    with pytest.raises(ValueError, match="got 1 target sizes for 2 images"):
        processor.post_process_semantic_segmentation(S5SegmenterOutput(logits=torch.zeros(2, 3, 4, 4)), [(4, 4)])
