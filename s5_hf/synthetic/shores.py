"""Tiles of land and water, cut from made-up scenes that differ in light and colours."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .canvas import WATER
from .scene import checked_shape, scene_seeds, synthetic_scene

SHORE_LABELS = ("land", "water")
_SCENE_SIDE = 3.2  # of the scene in pixels, over that of the tile
_GROUND = 2  # pixels of the scene, over those of the tile
_LEAST_SHARE = 0.08
_STRIDE = 4  # pixels of the scene between the windows that are looked at


@dataclass(frozen=True)
class ShoreTile:
    """A square tile at 1 m per pixel in which both classes have some of the pixels.

    Attributes:
        image: uint8 [side, side, 3], RGB.
        mask: uint8 [side, side], positions in `SHORE_LABELS`.
        seed: of the scene that it is cut from.
    """

    image: np.ndarray
    mask: np.ndarray
    seed: int


def synthetic_shores(count: int, side: int = 100, seed: int = 0, variety: float = 0.6) -> Iterator[ShoreTile]:
    """Make `count` tiles, each from a scene of its own; a longer set starts with the tiles of a shorter one.

    Args:
        count: of the tiles.
        side: of a tile in pixels, from 20.
        seed: not negative.
        variety: of the scenes' light and colours, see `synthetic_scene`.

    Raises:
        TypeError, ValueError: as `synthetic_scene` and `synthetic_dataset`; the first ones at the call.
    """
    scene_side = round(_SCENE_SIDE * side)
    checked_shape(scene_side)
    # More than half of the scenes show enough water, so these are never used up.
    seeds = scene_seeds(4 * count + 100, seed)
    tiles = (_tile(scene_side, side, scene_seed, variety) for scene_seed in seeds)
    return itertools.islice((tile for tile in tiles if tile is not None), count)


def _tile(scene_side: int, side: int, seed: int, variety: float) -> ShoreTile | None:
    """The window of a scene whose share of water comes next to a random one; none where there is too little water."""
    scene = synthetic_scene(scene_side, seed, variety)
    water, length = scene.mask == WATER, _GROUND * side
    wanted = np.random.default_rng([seed, 8]).uniform(0.2, 0.6)
    sums = np.pad(water.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[length:, length:] - sums[:-length, length:] - sums[length:, :-length] + sums[:-length, :-length]
    shares = inside[::_STRIDE, ::_STRIDE] / length**2
    row, column = np.unravel_index(np.abs(shares - wanted).argmin(), shares.shape)
    if shares[row, column] < _LEAST_SHARE:
        return None
    window = np.s_[_STRIDE * row : _STRIDE * row + length, _STRIDE * column : _STRIDE * column + length]
    image = Image.fromarray(scene.image[window]).resize((side, side), Image.Resampling.BOX)
    mask = Image.fromarray(water[window].astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
    return ShoreTile(np.asarray(image), np.asarray(mask), seed)
