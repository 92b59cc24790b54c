"""Windows over a scene and their blending weights."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.scenes.window_grid import (
    BLENDINGS,
    Window,
    WindowGrid,
    axis_weights,
    blending_weights,
    normalized_axis_weights,
    window_starts,
)


@st.composite
def axes(draw):
    size = draw(st.integers(1, 60))
    return draw(st.integers(1, 400)), size, draw(st.integers(1, size))


@given(axes())
def test_windows_cover_every_pixel_and_end_at_the_border(axis):
    length, size, stride = axis
    starts = window_starts(length, size, stride)
    covered = {pixel for start in starts for pixel in range(start, start + size)}
    assert covered >= set(range(length))
    assert starts == sorted(set(starts))
    assert all(after - before <= stride for before, after in pairwise(starts))
    assert starts == [0] if length <= size else starts[-1] == length - size


def test_the_last_window_is_shifted_back():
    assert window_starts(1000, 512, 384) == [0, 384, 488]
    assert window_starts(512, 512, 384) == window_starts(30, 512, 384) == [0]


@pytest.mark.parametrize(("length", "size", "stride"), [(0, 4, 4), (4, 0, 1), (9, 4, 0), (9, 4, 5)])
def test_impossible_windows_are_refused(length, size, stride):
    with pytest.raises(ValueError, match=r"pixel|stride"):
        window_starts(length, size, stride)


def test_a_grid_counts_its_windows_row_by_row():
    grid = WindowGrid.over(height=70, width=100, window=(40, 50), stride=(30, 50))
    assert (grid.tops, grid.lefts, len(grid)) == ((0, 30), (0, 50), 4)
    assert [grid[index] for index in (0, 1, 3)] == [
        Window(0, 0, 50, 40),
        Window(50, 0, 100, 40),
        Window(50, 30, 100, 70),
    ]
    assert len(list(grid)) == 4
    with pytest.raises(IndexError, match="0 to 3"):
        grid[4]


@given(st.integers(1, 600), st.sampled_from(BLENDINGS))
@settings(max_examples=60)
def test_weights_are_positive_symmetric_and_highest_in_the_middle(size, kind):
    weights = axis_weights(size, kind)
    assert weights.shape == (size,)
    assert weights.dtype == torch.float32
    assert weights.min() > 0
    assert weights.max() <= 1
    torch.testing.assert_close(weights, weights.flip(0))
    assert (weights[: (size + 1) // 2].diff() >= 0).all()


def test_known_weights():
    torch.testing.assert_close(axis_weights(4), torch.tensor([0.1464466, 0.8535534, 0.8535534, 0.1464466]))
    torch.testing.assert_close(axis_weights(8, "gaussian")[[0, 3]], torch.tensor([-6.125, -0.125]).exp())
    assert axis_weights(5, "flat").tolist() == [1.0] * 5
    torch.testing.assert_close(axis_weights(64)[:32] + axis_weights(64)[32:], torch.ones(32))
    torch.testing.assert_close(blending_weights(2, 4), 0.5 * axis_weights(4).expand(2, 4))


@given(axes(), st.sampled_from(BLENDINGS))
def test_normalized_weights_add_up_to_one_at_every_pixel(axis, kind):
    length, size, stride = axis
    starts = window_starts(length, size, stride)
    total = torch.zeros(max(length, size))
    for start, weights in zip(starts, normalized_axis_weights(starts, size, kind), strict=True):
        total[start : start + size] += weights
    torch.testing.assert_close(total, torch.ones_like(total))


def test_unknown_kinds_are_named():
    with pytest.raises(ValueError, match="cosine, gaussian, flat, got 'hann'"):
        blending_weights(4, 4, "hann")
    with pytest.raises(ValueError, match="at least 1 pixel"):
        axis_weights(0)
