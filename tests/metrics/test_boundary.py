"""Boundary IoU, against erosion by scipy and by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from s5_hf.metrics import BoundaryCounts
from s5_hf.metrics.boundary import boundary_pixels


def eroded_boundary(mask, distance):
    """As the authors define it: what `distance` erosions with a 3 x 3 square take away, outside being background."""
    return mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=distance, border_value=0)


def blobs(seed, shape=(60, 83), classes=4):
    noise = np.random.default_rng(seed).random((classes, *shape))
    return ndimage.gaussian_filter(noise, (0, 5, 5)).argmax(0)


@pytest.mark.parametrize("distance", [1, 2, 7])
def test_boundaries_are_those_of_erosion(distance):
    classes = blobs(0)
    found = boundary_pixels(torch.from_numpy(classes), distance).numpy()
    expected = np.any([eroded_boundary(classes == index, distance) for index in range(4)], axis=0)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(1, 1), (4, 9), (9, 5), (5, 30)])
def test_narrow_maps_are_all_boundary_where_the_square_does_not_fit(shape):
    classes = np.zeros(shape, dtype=np.uint8)
    found = boundary_pixels(torch.from_numpy(classes), 2).numpy()
    np.testing.assert_array_equal(found, eroded_boundary(classes == 0, 2))


def test_values_are_those_of_the_definition():
    pairs = [(blobs(1), blobs(2)), (blobs(3), blobs(3)), (blobs(4, (30, 50)), blobs(5, (30, 50)))]
    counts = BoundaryCounts(4)
    intersections, unions = np.zeros(4), np.zeros(4)
    for prediction, reference in pairs:
        counts.update(prediction, reference)
        distance = max(1, round(0.02 * math.hypot(*reference.shape)))
        for index in range(4):
            guess, truth = (eroded_boundary(labels == index, distance) for labels in (prediction, reference))
            intersections[index] += (guess & truth).sum()
            unions[index] += (guess | truth).sum()
    assert counts.per_class().tolist() == pytest.approx(intersections / unions)
    assert counts.mean((0,)) == pytest.approx((intersections / unions)[1:].mean())


def test_by_hand():
    """A square of 4 and one shifted by a pixel, d = 1: rings of 12 pixels that share 6, by a frame of background."""
    reference, prediction = np.zeros((10, 10), dtype=int), np.zeros((10, 10), dtype=int)
    reference[3:7, 3:7], prediction[3:7, 4:8] = 1, 1
    counts = BoundaryCounts(2, distance_ratio=0.01)
    counts.update(prediction, reference)
    assert counts.counts[:, 1].tolist() == [6, 12, 12]
    assert counts.per_class()[1].item() == pytest.approx(6 / 18)


def test_ignored_pixels_are_beyond_the_border():
    reference, prediction = blobs(6), blobs(7)
    cut = BoundaryCounts(4, distance_ratio=0.03)
    whole, smaller = reference.copy(), (slice(None), slice(0, 50))
    whole[:, 50:] = 255
    cut.update(prediction, whole)
    alone = BoundaryCounts(4, distance_ratio=0.03 * math.hypot(*reference.shape) / math.hypot(60, 50))
    alone.update(prediction[smaller], reference[smaller])
    assert torch.equal(cut.counts, alone.counts)
    nothing = BoundaryCounts(4)
    nothing.update(prediction, np.full_like(reference, 255))
    assert math.isnan(nothing.mean())


def test_bad_input():
    counts = BoundaryCounts(2)
    with pytest.raises(ValueError, match=r"\(height, width\), got predictions \(1, 4, 4\)"):
        counts.update(np.zeros((1, 4, 4), dtype=int), np.zeros((1, 4, 4), dtype=int))
    with pytest.raises(ValueError, match=r"predictions hold the values \[5\], expected 0..1"):
        counts.update(np.full((4, 4), 5), np.zeros((4, 4), dtype=int))
    with pytest.raises(ValueError, match="above 0, got 0"):
        BoundaryCounts(2, distance_ratio=0)
