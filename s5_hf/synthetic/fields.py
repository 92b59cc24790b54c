"""Farmland: parcels with crops, furrows, tramlines and grassy borders."""

import math
from dataclasses import dataclass

import numpy as np

from .canvas import Canvas, smooth_noise

# Colour in full sun, depth of the furrows, depth of the mottling, how common.
_CROPS = (
    ((0.66, 0.59, 0.42), 0.035, 0.05, 1.0),  # ripe grain
    ((0.62, 0.56, 0.44), 0.060, 0.05, 0.8),  # stubble
    ((0.47, 0.39, 0.31), 0.055, 0.06, 1.0),  # ploughed soil
    ((0.43, 0.47, 0.30), 0.050, 0.06, 1.0),  # young crop
    ((0.31, 0.41, 0.22), 0.035, 0.05, 1.2),  # dense crop
    ((0.39, 0.45, 0.27), 0.008, 0.10, 1.6),  # meadow
    ((0.48, 0.49, 0.33), 0.006, 0.13, 0.8),  # pasture
    ((0.66, 0.63, 0.26), 0.020, 0.04, 0.2),  # rapeseed in flower
)


@dataclass(frozen=True)
class Parcels:
    """The division of the land.

    Attributes:
        index: int32 [height, width], the parcel of each pixel.
        border: float32 [height, width], distance to the parcel's border in pixels.
        count: the number of parcels.
    """

    index: np.ndarray
    border: np.ndarray
    count: int


def paint_fields(canvas: Canvas, heading: float, rng: np.random.Generator) -> Parcels:
    """Cover the canvas with parcels along `heading` and return them."""
    shape = canvas.shape
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) + np.float32(0.5)
    cosine, sine = math.cos(heading), math.sin(heading)
    u = x * np.float32(cosine) + y * np.float32(sine) + 4 * smooth_noise(shape, 150, rng)
    v = y * np.float32(cosine) - x * np.float32(sine) + 4 * smooth_noise(shape, 150, rng)
    parcels = _divide(u, v, rng)

    season = rng.dirichlet(np.full(len(_CROPS), 1.2)) * [crop[3] for crop in _CROPS]
    crop = rng.choice(len(_CROPS), parcels.count, p=season / season.sum())
    color = np.array([entry[0] for entry in _CROPS])[crop]
    color = color * rng.normal(1.0, 0.07, (parcels.count, 1)) * rng.normal(1.0, 0.025, (parcels.count, 3))
    furrow_depth = np.array([entry[1] for entry in _CROPS])[crop] * rng.uniform(0.4, 1.3, parcels.count)
    mottle_depth = np.array([entry[2] for entry in _CROPS])[crop]
    across = rng.random(parcels.count) < 0.5
    spacing = rng.uniform(3.2, 6.5, parcels.count)
    tilt = rng.normal(0.0, 0.04, parcels.count)

    at = parcels.index
    lane = np.where(across[at], u + tilt[at] * v, v + tilt[at] * u).astype(np.float32)
    texture = furrow_depth.astype(np.float32)[at] * np.sin(lane * (2 * np.pi / spacing).astype(np.float32)[at])
    # The sprayer drives the same pair of ruts every 24 m.
    rut = np.abs((lane + 3 * smooth_noise(shape, 90, rng)) % 48 - 24)
    ruts = (np.abs(rut - 2.2) < 0.7) & (furrow_depth[at] > 0.02)
    mottling = (
        0.7 * smooth_noise(shape, 45, rng) + 0.5 * smooth_noise(shape, 12, rng) + 0.3 * smooth_noise(shape, 4, rng)
    )
    brightness = 1 + texture + mottle_depth.astype(np.float32)[at] * mottling - 0.07 * ruts
    canvas.image[:] = color.astype(np.float32)[at] * brightness[..., None]

    balk = rng.uniform(0.5, 3.5, parcels.count).astype(np.float32)[at]
    grass = np.clip(balk - parcels.border + 0.5 + 0.6 * smooth_noise(shape, 6, rng), 0, 1) * 0.75
    canvas.image += grass[..., None] * (grass_color(rng) * (1 + 0.1 * mottling[..., None]) - canvas.image)
    return parcels


def grass_color(rng: np.random.Generator) -> np.ndarray:
    """A colour between lush and dry grass, float32 [3]."""
    dry = rng.random()
    color = (1 - dry) * np.array([0.33, 0.43, 0.23]) + dry * np.array([0.50, 0.49, 0.34])
    return color.astype(np.float32)


def _divide(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> Parcels:
    """Cut the plane into strips along v, and each strip into parcels."""
    strips = _cuts(float(u.min()), float(u.max()), 70, 190, rng)
    strip = (np.searchsorted(strips, u.ravel()) - 1).reshape(u.shape)
    border = np.minimum(u - strips[strip], strips[strip + 1] - u)
    cross = [_cuts(float(v.min()), float(v.max()), 110, 330, rng) for _ in range(len(strips) - 1)]
    index, count = np.zeros(u.shape, dtype=np.int32), 0
    for number, cuts in enumerate(cross):
        inside = strip == number
        position = v[inside]
        step = np.searchsorted(cuts, position) - 1
        border[inside] = np.minimum(border[inside], np.minimum(position - cuts[step], cuts[step + 1] - position))
        index[inside] = count + step
        count += len(cuts) - 1
    return Parcels(index, border.astype(np.float32), count)


def _cuts(low: float, high: float, shortest: float, longest: float, rng: np.random.Generator) -> np.ndarray:
    """Increasing positions, float32, that start below `low`, end above `high` and lie irregularly apart."""
    gaps = rng.uniform(shortest, longest, int((high - low) / shortest) + 3)
    cuts = low - 1 - rng.uniform(0, shortest) + np.concatenate([[0.0], gaps.cumsum()])
    return cuts[: int(np.searchsorted(cuts, high + 1)) + 1].astype(np.float32)
