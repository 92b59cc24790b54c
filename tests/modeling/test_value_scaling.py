"""Ranges of values that become bytes, and the processor that keeps them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoImageProcessor

from s5_hf.modeling.image_processing_s5 import S5ImageProcessor
from s5_hf.modeling.value_scaling import ValueScaling

RANGES = {"low": [100.0, 0.0, 50.0, 200.0], "high": [1100.0, 4000.0, 60.0, 3000.0]}
STATISTICS = {"image_mean": [0.1, 0.2, 0.3, 0.4], "image_std": [0.5, 0.6, 0.7, 0.8]}
DTYPES = ["uint16", "int16", "int32", "float32", "float64"]


@settings(max_examples=60, deadline=None)
@given(
    low=st.integers(-1000, 20_000),
    span=st.integers(1, 12_000),
    dtype=st.sampled_from(DTYPES),
    values=st.lists(st.integers(-2000, 32_000), min_size=2, max_size=40),
)
def test_scaling_is_monotone_and_invertible_within_the_range(low, span, dtype, values):
    if dtype == "uint16":
        low, values = max(low, 0), [max(value, 0) for value in values]
    high = low + max(span, 256 - min(low, 0))
    numbers = np.sort(np.array(values)).astype(dtype)
    scaled = ValueScaling((low,), (high,)).to_bytes(numbers[None, :, None])[0, :, 0]
    assert scaled.dtype == np.uint8 and (np.diff(scaled.astype(int)) >= 0).all()
    assert (scaled[numbers <= low] == 0).all() and (scaled[numbers >= high] == 255).all()
    inside = (numbers >= low) & (numbers <= high)
    back = low + scaled[inside].astype(np.float64) / 255 * (high - low)
    assert (np.abs(back - numbers[inside].astype(np.float64)) <= (high - low) / 510 * (1 + 1e-6)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_of_the_same_values_gives_the_same_bytes(dtype):
    values = np.random.default_rng(0).integers(0, 5000, (20, 30, 4))
    scaling = ValueScaling.from_dict(RANGES)
    expected = np.rint(np.clip((values - RANGES["low"]) / (np.array(RANGES["high"]) - RANGES["low"]), 0, 1) * 255)
    np.testing.assert_array_equal(scaling.to_bytes(values.astype(dtype)), expected.astype(np.uint8))


def test_what_is_missing_becomes_black_in_all_channels():
    values = np.full((4, 5, 4), 900, dtype=np.float32)
    values[0, 0, 2], values[1, 1, 0] = np.nan, np.inf
    masked = np.ma.masked_array(values, np.zeros(values.shape, dtype=bool))
    masked[2, 2, 1] = np.ma.masked
    scaled = ValueScaling.from_dict(RANGES).to_bytes(masked)
    black = (scaled == 0).all(axis=2)
    assert black[0, 0] and black[1, 1] and black[2, 2] and black.sum() == 3


def test_the_processor_scales_normalises_and_is_loaded_again(tmp_path):
    values = np.random.default_rng(0).integers(0, 5000, (20, 30, 4), dtype=np.uint16)
    bands = ["red", "green", "blue", 8]
    processor = S5ImageProcessor(**STATISTICS, value_scaling=RANGES, bands=bands)
    processor.save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert loaded.value_scaling == RANGES and loaded.bands == bands
    assert loaded.to_dict() == processor.to_dict()
    share = ValueScaling.from_dict(RANGES).to_bytes(values) / 255
    expected = ((share - STATISTICS["image_mean"]) / STATISTICS["image_std"]).transpose(2, 0, 1)
    for image in (values, values.transpose(2, 0, 1)):
        found = loaded(image, return_tensors="np")["pixel_values"][0]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_processor_of_rgb_images_says_nothing_of_ranges_and_bands():
    assert {"value_scaling", "bands"}.isdisjoint(S5ImageProcessor().to_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"value_scaling": {"low": [0, 0, 0], "high": [1, 1, 0]}}, "low below high"),
        ({"value_scaling": {"low": [0], "high": [1]}}, "value_scaling is for 1 channels, image_mean has 3"),
        ({"value_scaling": {"low": [0, 0, 0]}}, r"expected \{\"low\""),
        ({"value_scaling": {"low": 0, "high": 1}}, "expected a list of numbers"),
        ({"value_scaling": {"low": [0, 0, float("nan")], "high": [1, 1, 1]}}, "one finite number"),
        ({"bands": [1, 2]}, "bands is for 2 channels, image_mean has 3"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        S5ImageProcessor(**options)


def test_images_that_do_not_fit_are_refused_with_both_numbers():
    processor = S5ImageProcessor(**STATISTICS, value_scaling=RANGES)
    with pytest.raises(ValueError, match=r"shape \(8, 9, 3\), expected 4 channels"):
        processor(np.zeros((8, 9, 3), dtype=np.uint16))
    deep = S5ImageProcessor(value_scaling={"low": [0, 0, 0], "high": [3000, 3000, 3000]})
    with pytest.raises(ValueError, match="has 8 bits per channel, but the model takes values up to 3000"):
        deep(np.zeros((8, 9, 3), dtype=np.uint8))
