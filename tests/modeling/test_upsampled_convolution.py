"""Convolving before enlarging gives what enlarging before convolving gives, with the same gradients."""

import pytest
import torch
from torch.nn import functional

from s5_hf.modeling.upsampled_convolution import convolve_upsampled

SIZES = [
    ((5, 7), (10, 14)),
    ((5, 7), (40, 56)),
    ((3, 4), (13, 9)),
    ((6, 6), (6, 6)),
    ((4, 4), (3, 2)),
    ((1, 1), (8, 8)),
]


@pytest.mark.parametrize(("small", "large"), SIZES)
def test_equals_enlarging_first(small, large):
    generator = torch.Generator().manual_seed(0)
    feature_map = torch.randn(2, 8, *small, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 8, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    enlarged = functional.interpolate(feature_map, size=large, mode="bilinear", align_corners=False)
    expected = functional.conv2d(enlarged, weight, padding=1)
    found = convolve_upsampled(feature_map, weight, large)
    torch.testing.assert_close(found, expected)
    cotangent = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    for gradients in zip(
        torch.autograd.grad(found, (feature_map, weight), cotangent),
        torch.autograd.grad(expected, (feature_map, weight), cotangent),
        strict=True,
    ):
        torch.testing.assert_close(*gradients)
