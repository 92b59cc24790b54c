"""Shifts between two dates: found to a tenth of a pixel, moved back, and not made up."""

import numpy as np
import pytest
from scipy import ndimage

from s5_hf.scenes.registration import Shift, ShiftedScene, find_shift, phase_shift
from s5_hf.scenes.scene_pairs import ScenePair
from s5_hf.scenes.source import ArrayScene


def texture(side=160, seed=0):
    """An image with edges and spots, uint8 RGB."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 2)
    grey = np.where(noise > 0.05, 170, 60) + 200 * noise
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def shifted(image, columns, rows):
    return ndimage.shift(image.astype(float), (rows, columns, 0), order=1, mode="reflect").round().astype(np.uint8)


def scene(image, name="a"):
    return ArrayScene(image, name)


@pytest.mark.parametrize(("columns", "rows"), [(0, 0), (3, -2), (-7, 5), (1.5, 0.4), (0, 20)])
def test_a_shift_is_found_through_other_colours_and_changes(columns, rows):
    before = texture()
    after = (shifted(before, columns, rows) * [0.7, 0.9, 0.8] + 20).astype(np.uint8)
    after[40:70, 60:100] = 240
    found = find_shift(ScenePair(scene(before), scene(after, "b")))
    assert (found.columns, found.rows) == pytest.approx((columns, rows), abs=0.25)
    assert found.is_noticed == (columns != 0 or rows != 0)


def test_windows_of_large_scenes_agree_or_nothing_is_said():
    before = texture(1200)
    pair = ScenePair(scene(before), scene(shifted(before, 4, 0), "b"))
    assert find_shift(pair) == Shift(4.0, 0.0)
    torn = np.concatenate([shifted(before[:, :600], 9, 0), shifted(before[:, 600:], -9, 3)], axis=1)
    torn[:400] = texture(1200, seed=5)[:400]
    assert find_shift(ScenePair(scene(before), scene(torn, "b"))) is None


def test_unrelated_even_and_tiny_images_have_no_shift():
    even = np.full((160, 160, 3), 80, dtype=np.uint8)
    for before, after in ((texture(), texture(seed=1)), (even, even), (texture(20), texture(20))):
        assert find_shift(ScenePair(scene(before), scene(after, "b"))) is None
    assert phase_shift(texture()[..., 0], texture(seed=2)[..., 0]) is None


@pytest.mark.parametrize(("columns", "rows"), [(3.0, -2.0), (-4.0, 6.0), (0.5, 0.0), (200.0, 0.0), (0.0, -200.0)])
def test_rows_are_moved_back_and_what_is_not_covered_holds_no_data(columns, rows):
    image = texture(48)
    moved = ShiftedScene(scene(image), Shift(columns, rows))
    pixels, valid = (
        np.concatenate(part, axis=-2) for part in zip(*(moved.read_rows(t, t + 16) for t in (0, 16, 32)), strict=True)
    )
    y, x = np.mgrid[:48, :48].astype(float)
    wanted = ndimage.map_coordinates(
        image[..., 0].astype(float), (y + rows, x + columns), order=1, mode="constant", cval=-1e6
    )
    inside = (y + rows >= 0) & (y + rows <= 47) & (x + columns >= 0) & (x + columns <= 47)
    np.testing.assert_array_equal(valid, inside)
    np.testing.assert_allclose(pixels[0][inside], wanted[inside], atol=0.51)
    assert not pixels[:, ~inside].any()
