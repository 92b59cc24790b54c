"""Scenes under other light, and tiles of land and water cut from them."""

import itertools

import numpy as np
import pytest

from s5_hf.synthetic import SHORE_LABELS, ShoreTile, synthetic_dataset, synthetic_scene, synthetic_shores


def equal(first: ShoreTile, second: ShoreTile) -> bool:
    return first.seed == second.seed and all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in ("image", "mask")
    )


@pytest.fixture(scope="module")
def tiles() -> list[ShoreTile]:
    return list(synthetic_shores(6, 40, seed=3))


def test_variety_changes_the_light_and_nothing_else() -> None:
    usual, varied = synthetic_scene(64, 5), synthetic_scene(64, 5, variety=0.6)
    assert np.array_equal(usual.image, synthetic_scene(64, 5, variety=0.0).image)
    assert np.array_equal(varied.image, synthetic_scene(64, 5, variety=0.6).image)
    assert varied.image.dtype == np.uint8 and not np.array_equal(usual.image, varied.image)
    for name in ("mask", "boxes", "box_labels"):
        assert np.array_equal(getattr(usual, name), getattr(varied, name))


def test_scenes_differ_more_in_colour_with_more_variety() -> None:
    seeds = [scene.seed for scene in synthetic_dataset(12, 64, 1)]

    def casts(variety: float) -> float:
        """Spread of red over blue between scenes."""
        means = np.array([synthetic_scene(64, seed, variety).image.mean(axis=(0, 1)) for seed in seeds])
        return float(np.log(means[:, 0] / means[:, 2]).std())

    assert casts(0.6) > 1.3 * casts(0.0)


@pytest.mark.parametrize("variety", [-0.1, 1.1, float("nan")])
def test_a_variety_out_of_range_is_refused(variety: float) -> None:
    with pytest.raises(ValueError, match="variety must lie between 0 and 1, got"):
        synthetic_scene(64, 0, variety)


def test_every_tile_has_land_and_water(tiles: list[ShoreTile]) -> None:
    for tile in tiles:
        assert tile.image.shape == (40, 40, 3) and tile.mask.shape == (40, 40)
        assert (tile.image.dtype, tile.mask.dtype) == (np.uint8, np.uint8)
        assert set(np.unique(tile.mask)) == set(range(len(SHORE_LABELS)))
        assert 0.06 < tile.mask.mean() < 0.94


def test_tiles_follow_from_the_seed(tiles: list[ShoreTile]) -> None:
    again = list(itertools.islice(synthetic_shores(100, 40, seed=3), 2))
    assert equal(tiles[0], again[0]) and equal(tiles[1], again[1]), "a longer set starts with the same tiles"
    assert len({tile.seed for tile in tiles}) == 6
    assert not equal(tiles[0], next(synthetic_shores(1, 40, seed=4)))


def test_bad_arguments_are_refused_at_the_call() -> None:
    with pytest.raises(ValueError, match="each side of a scene must have 64 to 4096 pixels, got 32"):
        synthetic_shores(1, 10)
    with pytest.raises(ValueError, match="seed must not be negative"):
        synthetic_shores(1, 40, seed=-1)
