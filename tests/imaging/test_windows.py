"""Windows cover a tile, lie where the official tools put them, and come out in the official numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s5_hf.imaging.windows import Window, column_windows, quarters, row_windows, window_starts


def sizes_and_strides():
    return st.integers(1, 300).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size)))


@given(st.integers(1, 4000), sizes_and_strides())
def test_starts_cover_the_length_and_keep_the_stride(length, size_and_stride):
    size, stride = size_and_stride
    starts = window_starts(length, size, stride)
    assert starts[0] == 0
    steps = np.diff(starts)
    assert (steps[:-1] == stride).all()
    assert len(steps) == 0 or 1 <= steps[-1] <= stride
    # The last window ends at the border exactly, unless it is the only one and the length is shorter than it.
    assert starts[-1] + size == max(length, size)


@given(st.integers(1, 4000), sizes_and_strides())
def test_number_of_starts_is_that_of_the_official_tools(length, size_and_stride):
    size, stride = size_and_stride
    expected = 1 if length <= size else -(-(length - size) // stride) + 1
    assert len(window_starts(length, size, stride)) == expected


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
)
def test_windows_cover_every_pixel_and_lie_inside(width, height, size_and_stride):
    size, stride = size_and_stride
    covered = np.zeros((height, width), dtype=bool)
    for window in row_windows(width, height, size, stride):
        assert (window.width, window.height) == (size, size)
        assert window.left >= 0 and window.top >= 0
        assert window.right <= max(width, size) and window.bottom <= max(height, size)
        covered[window.top : window.bottom, window.left : window.right] = True
    assert covered.all()


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_every_dota_window_shows_the_same_share_of_the_image(width, height):
    """Why the rule that drops windows with less than 0.6 of image is not needed."""
    shares = {
        (min(window.right, width) - window.left) * (min(window.bottom, height) - window.top)
        for window in column_windows(width, height, 1024, 824)
    }
    assert len(shares) == 1


def test_official_counts_of_a_potsdam_tile():
    assert len(row_windows(6000, 6000, 512, 256)) == 529
    assert len(row_windows(6000, 6000, 512, 512)) == 144
    assert row_windows(6000, 6000, 512, 256)[-1] == Window(5488, 5488, 6000, 6000)


def test_order_of_rows_and_columns():
    by_rows = row_windows(30, 20, 10, 10)
    assert [window[:2] for window in by_rows] == [(0, 0), (10, 0), (20, 0), (0, 10), (10, 10), (20, 10)]
    by_columns = column_windows(30, 20, 10, 10)
    assert [window[:2] for window in by_columns] == [(0, 0), (0, 10), (10, 0), (10, 10), (20, 0), (20, 10)]


def test_quarters_of_a_tile():
    assert quarters(Window(824, 0, 1848, 1024)) == [
        Window(824, 0, 1336, 512),
        Window(1336, 0, 1848, 512),
        Window(824, 512, 1336, 1024),
        Window(1336, 512, 1848, 1024),
    ]
    with pytest.raises(ValueError, match="5 x 4"):
        quarters(Window(0, 0, 5, 4))


@pytest.mark.parametrize(
    ("length", "size", "stride", "message"),
    [
        (0, 5, 5, "length 0"),
        (5, 0, 1, "size 0"),
        (50, 5, 6, "between 1 and the window size 5, got 6"),
        (50, 5, 0, "0"),
    ],
)
def test_impossible_windows_are_refused(length, size, stride, message):
    with pytest.raises(ValueError, match=message):
        window_starts(length, size, stride)
