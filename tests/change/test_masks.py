"""Masks kept as the pixels of their boxes: what they give back, and set operations against whole planes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from s5_hf.change.everything_mode import EverythingSettings, everything, without_holes, without_islands
from s5_hf.change.masks import Masks
from s5_hf.change.superpixels import Superpixels, segments_as_masks

PLANES = arrays(bool, st.tuples(st.integers(1, 4), st.just(7), st.just(9)))


@settings(max_examples=40, deadline=None)
@given(PLANES, PLANES)
def test_what_masks_say_is_true_of_their_planes(first, second):
    masks, others = Masks.from_planes(first), Masks.from_planes(second)
    np.testing.assert_array_equal(masks.planes(), first)
    np.testing.assert_array_equal(masks.areas, first.sum(axis=(1, 2)))
    np.testing.assert_array_equal(masks.union(), first.any(axis=0))
    np.testing.assert_array_equal(Masks.joined([masks, others]).planes(), np.concatenate([first, second]))
    shared = (first[:, None] & second[None]).sum(axis=(2, 3))
    either = (first[:, None] | second[None]).sum(axis=(2, 3))
    np.testing.assert_allclose(masks.overlaps(others), shared / np.maximum(either, 1))


def test_boxes_include_their_last_pixels_and_are_zero_for_an_empty_mask():
    planes = np.zeros((2, 6, 8), dtype=bool)
    planes[0, 2:5, 3:7] = True
    assert Masks.from_planes(planes).boxes.tolist() == [[3, 2, 6, 4], [0, 0, 0, 0]]


def test_masks_are_chosen_by_bool_or_in_the_order_of_indices():
    planes = np.eye(4, dtype=bool)[:, None]
    masks = Masks.from_planes(planes, np.arange(4))
    np.testing.assert_array_equal(masks.select(np.array([True, False, False, True])).planes(), planes[[0, 3]])
    assert masks.select(np.array([2, 0])).scores.tolist() == [2, 0]


def test_masks_of_other_sizes_are_not_joined_or_compared():
    small, large = Masks.none(4, 4), Masks.none(4, 5)
    with pytest.raises(ValueError, match="one size"):
        Masks.joined([small, large])
    with pytest.raises(ValueError, match="4 x 4 and 4 x 5"):
        small.overlaps(large)
    with pytest.raises(ValueError, match="score for each of 1"):
        Masks.from_planes(np.ones((1, 2, 2), dtype=bool), np.ones(2))


def test_small_holes_are_filled_and_small_islands_dropped():
    plane = np.zeros((12, 12), dtype=bool)
    plane[1:8, 1:8] = True
    plane[3, 3] = plane[10, 10] = False
    plane[10, 10] = True
    assert without_holes(plane, 2)[3, 3]
    assert not without_holes(plane, 1)[3, 3]
    assert not without_islands(plane, 2)[10, 10]
    lonely = np.zeros((5, 5), dtype=bool)
    lonely[0, 0], lonely[3:5, 3] = True, True
    np.testing.assert_array_equal(np.argwhere(without_islands(lonely, 9)), [[3, 3], [4, 3]])


def test_a_network_that_gives_another_size_and_senseless_settings_are_refused():
    import torch

    with pytest.raises(ValueError, match="mask logits of 8 x 8"):
        everything(lambda points: (torch.zeros(len(points), 3, 4, 4), torch.ones(len(points), 3)), 8, 8)
    with pytest.raises(ValueError, match="points_per_side"):
        EverythingSettings(points_per_side=0)
    with pytest.raises(ValueError, match="minimum_region"):
        EverythingSettings(minimum_region=-1)


def test_superpixels_cover_the_image_once_and_follow_a_strong_edge():
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[:, 30:] = 200
    masks = Superpixels(pixels_per_segment=100).propose(image)
    assert masks.planes().sum(axis=0).tolist() == np.ones((40, 60)).tolist()
    left = masks.planes()[:, :, :30].any(axis=(1, 2))
    assert not masks.planes()[left][:, :, 30:].any()
    with pytest.raises(ValueError, match="at least 1 pixel"):
        Superpixels(0)


def test_segments_with_gaps_in_their_numbers_and_pixels_of_none():
    segments = np.array([[0, 0, -1], [5, 5, -1]])
    assert segments_as_masks(segments).planes().tolist() == [
        [[True, True, False], [False, False, False]],
        [[False, False, False], [True, True, False]],
    ]
