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


def normalised(values, factor, mean, std):
    return ((values * factor - np.asarray(mean)) / np.asarray(std)).transpose(2, 0, 1)


def test_every_setting_of_a_call_replaces_the_processors_own(pixels):
    settings = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.4, 0.3], "rescale_factor": 1 / 100}
    result = S5ImageProcessor()(pixels, **settings, return_tensors="np")["pixel_values"][0]
    expected = normalised(pixels, 1 / 100, settings["image_mean"], settings["image_std"])
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
    own = S5ImageProcessor(**settings)(pixels, return_tensors="np")["pixel_values"][0]
    np.testing.assert_array_equal(result, own)


def test_resample_of_a_call_replaces_the_processors_own(pixels):
    size = {"height": 7, "width": 9}
    plain = {"do_resize": True, "size": size, "do_normalize": False, "do_rescale": False, "return_tensors": "np"}
    nearest = S5ImageProcessor()(pixels, resample=Image.Resampling.NEAREST, **plain)["pixel_values"][0]
    expected = np.asarray(Image.fromarray(pixels).resize((9, 7), Image.Resampling.NEAREST)).transpose(2, 0, 1)
    np.testing.assert_array_equal(nearest, expected)
    assert not np.array_equal(nearest, S5ImageProcessor()(pixels, **plain)["pixel_values"][0])


def test_the_channels_of_a_call_are_those_of_its_mean():
    image = np.full((4, 5, 4), 128, dtype=np.uint8)
    result = S5ImageProcessor()(image, image_mean=[0.5] * 4, image_std=[0.5] * 4, return_tensors="np")
    assert result["pixel_values"].shape == (1, 4, 4, 5)


def test_a_setting_that_does_not_exist_is_refused(pixels):
    with pytest.raises(TypeError, match="image_means"):
        S5ImageProcessor()(pixels, image_means=[0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_std": [0.2, 0.0, 0.2]}, r"image_std is \[0\.2, 0\.0, 0\.2\], expected numbers above 0"),
        ({"image_std": [0.2, -0.1, 0.2]}, "expected numbers above 0"),
        ({"image_std": 0}, "image_std is 0, expected one finite number per channel"),
        ({"image_mean": [0.5, float("nan"), 0.5]}, "image_mean is .*nan.*, expected one finite number per channel"),
        ({"image_mean": [0.5]}, "image_mean has 1 numbers and image_std 3"),
        ({"rescale_factor": 0.0}, "rescale_factor is 0.0, expected a number above 0"),
    ],
)
def test_a_normalisation_that_no_image_survives_is_refused(pixels, settings, message):
    with pytest.raises(ValueError, match=message):
        S5ImageProcessor(**settings)
    with pytest.raises(ValueError, match=message):
        S5ImageProcessor()(pixels, **settings)


def test_a_folder_with_a_deviation_of_zero_is_refused(tmp_path):
    S5ImageProcessor().save_pretrained(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    file.write_text(file.read_text().replace("0.229", "0"))
    with pytest.raises(ValueError, match=r"image_std is .* expected numbers above 0"):
        AutoImageProcessor.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3), dtype=np.uint16), "has the type uint16, expected 8 bits per channel; scale it to 0..255"),
        (torch.zeros(3, 4, 4, dtype=torch.int16), "has the type int16, expected 8 bits"),
        (np.full((4, 4, 3), np.nan, dtype=np.float32), "holds NaN or infinity, expected finite numbers"),
        (torch.full((3, 4, 4), float("inf")), "holds NaN or infinity"),
        (np.full((4, 4, 3), 300), "holds values from 300 to 300, expected 0..255"),
        (np.full((4, 4, 3), -0.5), "holds values from -0.5 to -0.5, expected 0..255"),
        (np.zeros((4, 4, 3), dtype=bool), "has the type bool, expected real numbers"),
        (np.zeros((4, 4, 3), dtype=complex), "has the type complex128, expected real numbers"),
        (np.zeros((0, 4, 3), dtype=np.uint8), "is empty"),
    ],
)
def test_values_that_are_no_image_of_8_bits_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        S5ImageProcessor()(image)


@pytest.mark.parametrize("settings", [{"do_rescale": False}, {"rescale_factor": 1 / 10000}])
def test_other_ranges_are_taken_where_the_settings_say_so(settings):
    image = np.random.default_rng(0).integers(0, 10000, (6, 5, 3)).astype(np.uint16)
    result = S5ImageProcessor(do_normalize=False)(image, **settings, return_tensors="np")["pixel_values"][0]
    expected = image.astype(np.float64) * settings.get("rescale_factor", 1.0)
    np.testing.assert_allclose(result, expected.transpose(2, 0, 1), rtol=1e-6)
    with pytest.raises(ValueError, match="NaN"):
        S5ImageProcessor()(np.full((4, 4, 3), np.nan), **settings)


def test_an_image_that_was_scaled_before_gives_a_warning(pixels):
    with pytest.warns(UserWarning, match=r"floating-point values of 0\.\.1 .* give do_rescale=False"):
        S5ImageProcessor()(pixels / 255.0)


@pytest.mark.filterwarnings("error")
def test_no_warning_for_bytes_and_for_values_that_are_not_rescaled(pixels):
    S5ImageProcessor()(pixels / 255.0, do_rescale=False)
    S5ImageProcessor()(pixels.astype(np.float32))
    S5ImageProcessor()(np.zeros((4, 4, 3)))
    S5ImageProcessor()(torch.from_numpy(pixels).bfloat16())


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ({"shortest_edge": 40}, (40, 60)),
        ({"shortest_edge": 40, "longest_edge": 45}, (30, 45)),
        (16, (16, 16)),
        ((8, 9), (8, 9)),
        ([8, 9], (8, 9)),
        ({"height": 8, "width": 9}, (8, 9)),
    ],
)
def test_sizes_in_every_form(pixels, tmp_path, size, expected):
    labels = np.zeros((20, 30), dtype=np.uint8)
    for batch in (
        S5ImageProcessor(do_resize=True, size=size)(pixels, labels, return_tensors="np"),
        S5ImageProcessor()(pixels, labels, do_resize=True, size=size, return_tensors="np"),
    ):
        assert batch["pixel_values"].shape == (1, 3, *expected)
        assert batch["labels"].shape == (1, *expected)
    S5ImageProcessor(size=size).save_pretrained(tmp_path)
    assert AutoImageProcessor.from_pretrained(tmp_path).size == S5ImageProcessor(size=size).size


@pytest.mark.parametrize(
    "size", [{"width": 4}, {"longest_edge": 4}, {}, "256", 0, 2.5, (1, 2, 3), {"height": 4, "width": -1}, True]
)
def test_sizes_of_no_known_form_are_refused_in_words(size):
    with pytest.raises(
        ValueError, match=r"size is .*, expected \{\"height\": \.\.\., \"width\": \.\.\.\}, \{\"shortest"
    ):
        S5ImageProcessor(size=size)


def test_label_maps_that_hold_no_whole_numbers_are_refused(pixels):
    for label_map in (np.full((20, 30), 0.5), np.full((20, 30), np.nan)):
        with pytest.raises(ValueError, match="holds values that are not whole numbers"):
            S5ImageProcessor()(pixels, label_map)
    whole = S5ImageProcessor()(pixels, np.full((20, 30), 2.0), return_tensors="np")["labels"]
    assert whole.dtype == np.int64 and (whole == 2).all()
