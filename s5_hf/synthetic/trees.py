"""Trees: woods, hedgerows, the banks of waters, gardens and lone trees in the fields."""

import numpy as np

from .canvas import BUILDING, CAR, FIELD, ROAD, TREE, Box, Canvas, sample, smooth_noise
from .fields import Parcels
from .light import Sun
from .settlement import Settlement
from .water import FAR

# Tables of colours look alike in every module of this folder.
_FOLIAGE = (
    (0.22, 0.32, 0.16),
    (0.26, 0.36, 0.18),
    (0.18, 0.28, 0.16),
    (0.31, 0.38, 0.19),
    (0.16, 0.24, 0.15),
    (0.33, 0.34, 0.19),
)


def plant_trees(
    canvas: Canvas,
    parcels: Parcels,
    settlement: Settlement,
    to_road: np.ndarray,
    to_water: np.ndarray,
    sun: Sun,
    rng: np.random.Generator,
) -> None:
    """Plant trees wherever they would grow, and never on roads, water, roofs or cars."""
    shape = canvas.shape
    groups = [
        _woods(settlement.ground, rng),
        _along(parcels, rng),
        _banks(shape, to_water, rng),
        _gardens(settlement.plots, rng),
        _scattered(shape, rng),
    ]
    x, y, radius = np.concatenate(groups, axis=1)
    open_ground = sample(to_road, x, y, FAR) > 0.45 * radius
    # Drives and yards came after the road network was measured.
    open_ground &= sample(canvas.mask, x, y, FIELD) != ROAD
    open_ground &= sample(to_water, x, y, FAR) > 0.3 * radius
    for angle in np.arange(0, 6.2, np.pi / 4):
        rim_x, rim_y = x + radius * np.cos(angle), y + radius * np.sin(angle)
        open_ground &= sample(canvas.occupied, rim_x, rim_y, 0.0) == 0
    open_ground &= sample(canvas.occupied, x, y, 0.0) == 0
    _paint_crowns(canvas, x[open_ground], y[open_ground], radius[open_ground], sun, rng)


def _grid(shape: tuple[int, int], spacing: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points about `spacing` pixels apart, each moved at random."""
    y, x = (part.ravel() for part in np.mgrid[0 : shape[0] + spacing : spacing, 0 : shape[1] + spacing : spacing])
    return x + rng.uniform(-0.5, 0.5, x.size) * spacing, y + rng.uniform(-0.5, 0.5, y.size) * spacing


def _woods(gardens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    shape = (gardens.shape[0], gardens.shape[1])
    x, y = _grid(shape, 6.5, rng)
    growth = smooth_noise(shape, 130, rng) + 0.35 * smooth_noise(shape, 35, rng)
    # People clear their gardens.
    growth = growth - 1.2 * gardens
    inside = sample(growth, x, y, -FAR) > rng.uniform(0.7, 1.6)
    return np.stack([x[inside], y[inside], rng.uniform(3.8, 8.5, int(inside.sum()))])


def _along(parcels: Parcels, rng: np.random.Generator) -> np.ndarray:
    """Hedgerows: some parcels have one around them, with gaps."""
    hedged = rng.random(parcels.count) < rng.uniform(0.05, 0.35)
    x, y = _grid((parcels.index.shape[0], parcels.index.shape[1]), 5.0, rng)
    parcel = sample(parcels.index, x, y, 0).astype(np.intp)
    near = (sample(parcels.border, x, y, FAR) < 3.5) & hedged[parcel] & (rng.random(x.size) < 0.75)
    return np.stack([x[near], y[near], rng.uniform(2.2, 5.0, int(near.sum()))])


def _banks(shape: tuple[int, int], to_water: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    x, y = _grid(shape, 7.0, rng)
    distance = sample(to_water, x, y, FAR)
    thicket = sample(smooth_noise(shape, 60, rng), x, y, 0.0)
    near = (distance > 1) & (distance < 13) & (thicket > rng.uniform(-0.5, 0.8))
    return np.stack([x[near], y[near], rng.uniform(2.5, 6.5, int(near.sum()))])


def _gardens(plots: list[Box], rng: np.random.Generator) -> np.ndarray:
    trees = [
        (*plot.point(*(rng.uniform(-0.48, 0.48, 2) * [plot.w, plot.h])), rng.uniform(1.8, 6.0))
        for plot in plots
        for _ in range(int(rng.integers(2, 9)))
    ]
    return np.array(trees).reshape(-1, 3).T


def _scattered(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    count = rng.poisson(shape[0] * shape[1] / 262_144 * rng.uniform(2, 14))
    return np.stack([rng.uniform(0, shape[1], count), rng.uniform(0, shape[0], count), rng.uniform(2.5, 7.5, count)])


def _paint_crowns(
    canvas: Canvas, x: np.ndarray, y: np.ndarray, radius: np.ndarray, sun: Sun, rng: np.random.Generator
) -> None:
    """Draw all crowns at once: where crowns overlap, the higher one is seen."""
    if x.size == 0:
        return
    top, owner = _canopy(canvas.shape, x, y, radius, rng)
    seen = (owner >= 0) & (canvas.mask != BUILDING) & (canvas.mask != CAR)
    top = np.where(seen, top, 0)
    leafy = top + 0.8 * smooth_noise(canvas.shape, 2.2, rng) * seen
    slope_y, slope_x = np.gradient(leafy)
    light = np.clip(1 - 0.32 * (slope_x * sun.x + slope_y * sun.y), 0.45, 1.5)[seen]
    species = np.array(_FOLIAGE)[rng.choice(len(_FOLIAGE), x.size, p=rng.dirichlet(np.full(len(_FOLIAGE), 1.5)))]
    species = species * rng.normal(1, 0.1, (x.size, 1)) * rng.normal(1, 0.02, (x.size, 3))
    canvas.image[seen] = species[owner[seen]] * light[:, None]
    canvas.mask[seen] = TREE
    canvas.elevation[seen] = top[seen]


def _canopy(
    shape: tuple[int, int], x: np.ndarray, y: np.ndarray, radius: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The height of the canopy in metres and the tree it belongs to (-1: none), both [height, width]."""
    tallness = rng.uniform(0.75, 1.15, x.size)
    lobes, phase, depth = rng.integers(3, 7, x.size), rng.uniform(0, 6.3, x.size), rng.uniform(0.04, 0.16, x.size)
    winner = np.full(shape[0] * shape[1], -1, dtype=np.int64)
    for reach in range(2, int(radius.max() * 1.2) + 3):
        chosen = np.flatnonzero(np.ceil(radius * 1.17) == reach)
        if chosen.size == 0:
            continue
        steps = np.arange(-reach, reach + 1)
        columns = np.floor(x[chosen]).astype(np.int64)[:, None, None] + steps[None, None, :]
        rows = np.floor(y[chosen]).astype(np.int64)[:, None, None] + steps[None, :, None]
        dx, dy = columns + 0.5 - x[chosen][:, None, None], rows + 0.5 - y[chosen][:, None, None]
        ragged = 1 + depth[chosen][:, None, None] * np.sin(
            lobes[chosen][:, None, None] * np.arctan2(dy, dx) + phase[chosen][:, None, None]
        )
        size = radius[chosen][:, None, None]
        inward = 1 - (dx**2 + dy**2) / (size * ragged) ** 2
        height = size * tallness[chosen][:, None, None] * (0.45 + 0.55 * np.sqrt(np.maximum(inward, 0)))
        valid = (inward > 0) & (columns >= 0) & (rows >= 0) & (columns < shape[1]) & (rows < shape[0])
        # Height in millimetres above the tree's number, so that the maximum decides who is seen.
        key = (height * 1000).astype(np.int64) * 2**32 + chosen[:, None, None]
        flat = np.broadcast_to(rows * shape[1] + columns, valid.shape)
        np.maximum.at(winner, flat[valid], key[valid])
    owner = np.where(winner < 0, -1, winner % 2**32).reshape(shape)
    return (np.maximum(winner, 0) // 2**32 / 1000).astype(np.float32).reshape(shape), owner
