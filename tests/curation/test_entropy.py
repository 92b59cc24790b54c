"""Entropy against a float64 reference in NumPy, pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.curation.entropy import patch_statistics


def reference_entropy(logits, background, valid, renormalised):
    """The formula of the paper, one pixel after the other, in float64."""
    total, pixels = 0.0, 0
    classes, height, width = logits.shape
    for y in range(height):
        for x in range(width):
            if not valid[y, x]:
                continue
            pixel = logits[:, y, x].astype(np.float64)
            probabilities = np.exp(pixel - pixel.max())
            probabilities /= probabilities.sum()
            if background is not None:
                others = np.delete(np.arange(classes), background)
                if renormalised:
                    rest = np.exp(pixel[others] - pixel[others].max())
                    probabilities = rest / rest.sum()
                else:
                    probabilities = probabilities[others]
            total -= sum(p * math.log(p) for p in probabilities if p > 0)
            pixels += 1
    return total / pixels


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    classes=st.integers(2, 17),
    scale=st.sampled_from([0.01, 1.0, 5.0, 40.0]),
    ignored=st.sampled_from([0.0, 0.4]),
    data=st.data(),
)
def test_entropy_equals_the_float64_reference(seed, classes, scale, ignored, data):
    background = data.draw(st.one_of(st.none(), st.integers(0, classes - 1)))
    generator = np.random.default_rng(seed)
    logits = (generator.standard_normal((2, classes, 5, 7)) * scale).astype(np.float32)
    valid = generator.random((2, 5, 7)) >= ignored
    valid[:, 0, 0] = True
    found = patch_statistics(torch.from_numpy(logits), background, torch.from_numpy(valid))
    for row in range(2):
        cases = [(found.entropy, background, False), (found.entropy_renormalised, background, True)]
        for values, left_out, renormalised in [*cases, (found.entropy_with_background, None, False)]:
            expected = reference_entropy(logits[row], left_out, valid[row], renormalised)
            assert values[row].item() == pytest.approx(expected, abs=1e-6)


def test_large_patch_keeps_its_digits():
    logits = torch.randn(1, 16, 256, 256, generator=torch.Generator().manual_seed(0)) * 3
    exact = patch_statistics(logits.double(), background=0).entropy
    assert patch_statistics(logits, background=0).entropy.item() == pytest.approx(exact.item(), abs=1e-6)


def test_uniform_prediction_over_four_classes():
    found = patch_statistics(torch.zeros(1, 4, 3, 3), background=0)
    assert found.entropy_with_background.item() == pytest.approx(math.log(4), abs=1e-6)
    assert found.entropy.item() == pytest.approx(0.75 * math.log(4), abs=1e-6)
    assert found.entropy_renormalised.item() == pytest.approx(math.log(3), abs=1e-6)
    assert found.confidence.item() == pytest.approx(0.25, abs=1e-6)


def test_sure_background_has_entropy_zero_unless_renormalised():
    logits = torch.zeros(1, 3, 2, 2)
    logits[:, 0] = 200.0
    found = patch_statistics(logits, background=0)
    assert found.entropy.item() == 0.0
    assert found.entropy_renormalised.item() == pytest.approx(math.log(2), abs=1e-6)


def test_ignored_pixels_change_nothing():
    logits = torch.randn(1, 5, 4, 6, generator=torch.Generator().manual_seed(1))
    valid = torch.ones(1, 4, 6, dtype=torch.bool)
    valid[:, :, 4:] = False
    spoiled = logits.clone()
    spoiled[..., 4:] = float("nan")
    inside, padded = patch_statistics(logits[..., :4], 2), patch_statistics(spoiled, 2, valid)
    assert padded.finite.tolist() == [True]
    assert torch.equal(inside.class_counts, padded.class_counts)
    for name in ("entropy", "entropy_renormalised", "entropy_with_background", "confidence"):
        assert torch.equal(getattr(inside, name), getattr(padded, name)), name


def test_counts_and_classes():
    logits = torch.full((1, 3, 2, 2), -5.0)
    logits[0, [2, 0, 2, 2], [0, 0, 1, 1], [0, 1, 0, 1]] = 5.0
    found = patch_statistics(logits)
    assert found.classes[0].tolist() == [[2, 0], [2, 2]]
    assert found.class_counts[0].tolist() == [1, 0, 3]


def test_names_the_patch_that_is_not_finite():
    logits = torch.zeros(3, 2, 2, 2)
    logits[1, 0, 1, 1] = float("nan")
    logits[2, 0, 0, 0] = float("inf")
    assert patch_statistics(logits).finite.tolist() == [True, False, False]


def test_no_valid_pixel_gives_nan():
    found = patch_statistics(torch.zeros(1, 2, 2, 2), valid=torch.zeros(1, 2, 2, dtype=torch.bool))
    assert found.valid_pixels.tolist() == [0]
    assert math.isnan(found.entropy.item())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(2, 3, 4),), "shape"),
        ((torch.zeros(1, 3, 4, 4), 3), "0..2, got 3"),
        ((torch.zeros(1, 1, 4, 4), 0), "one of several"),
        ((torch.zeros(1, 3, 4, 4), 0, torch.ones(1, 4, 5, dtype=torch.bool)), r"\(1, 4, 4\)"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        patch_statistics(*arguments)
