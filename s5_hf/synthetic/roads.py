"""The road network: through roads that cross the scene, and side roads that branch off them."""

import math
from dataclasses import dataclass

import numpy as np

from .canvas import METRES_PER_PIXEL, ROAD, WATER, Canvas, edge, sample, smooth_noise
from .paths import Path, measure, wander, wander_across
from .water import FAR


@dataclass(frozen=True)
class Road:
    """A road: its middle line, its width in pixels, its colour in full sun, and whether it has lane marks."""

    path: Path
    width: float
    color: np.ndarray
    marked: bool


def through_roads(shape: tuple[int, int], heading: float, rng: np.random.Generator) -> list[Road]:
    """One road across the scene near its middle, and in large scenes more of them, crossing it or beside it."""
    count = 1 + max(shape) // 900
    color, width = _asphalt(rng), rng.uniform(6.5, 8.5) / METRES_PER_PIXEL
    width *= min(1.0, 0.5 + min(shape) / 500)
    roads = []
    for number in range(count):
        spread = 0.12 if number == 0 else 0.38
        through = (0.5 + rng.uniform(-spread, spread, 2)) * [shape[1], shape[0]]
        turn = 0.0 if number == 0 else rng.choice([0.0, math.pi / 2]) + rng.normal(0, 0.12)
        path = wander_across(shape, (through[0], through[1]), heading + turn, 0.16, rng)
        roads.append(Road(path, width, color, marked=bool(rng.random() < 0.85)))
    return roads


def side_roads(through: list[Road], water: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> list[Road]:
    """Roads that leave the through roads at right angles and end at water, at another road or in the open."""
    roads: list[Road] = []
    color, density = _asphalt(rng), rng.uniform(0.6, 1.1)
    for parent in through:
        length = parent.path.distances[-1]
        along, side = rng.uniform(40, 140), rng.choice([-1.0, 1.0])
        while along < length - 40:
            x, y, heading = parent.path.at(along)
            course = heading + side * math.pi / 2 + rng.normal(0, 0.08)
            taken = np.concatenate([road.path.points for road in [*through, *roads]])
            points = _grow(wander((x, y), course, rng.uniform(120, 480), 0.12, rng), taken, water)
            inside = ((points > 0) & (points < [shape[1], shape[0]])).all(axis=1).sum()
            if inside >= 5:
                unpaved = rng.random() < 0.25
                width = rng.uniform(3.0, 4.0) if unpaved else rng.uniform(5.0, 6.0)
                surface = np.array([0.60, 0.54, 0.44]) * rng.normal(1, 0.06) if unpaved else color
                roads.append(Road(Path(points), width / METRES_PER_PIXEL, surface, marked=False))
            along, side = along + density * rng.uniform(70, 150), -side
    return roads


def _grow(points: np.ndarray, taken: np.ndarray, water: np.ndarray) -> np.ndarray:
    """Cut a new road where it comes near water or meets another road."""
    wet = sample(water, points[:, 0], points[:, 1], outside=FAR) < 12
    gap = np.hypot(points[:, None, 0] - taken[None, :, 0], points[:, None, 1] - taken[None, :, 1])
    meets = gap.min(axis=1) < 7
    meets[: min(6, len(points))] = False
    # Side by side with another road there is no room for houses.
    crowded = gap.min(axis=1) < 34
    crowded[: min(9, len(points))] = False
    stops = np.flatnonzero(wet | meets)
    end = int(stops[0]) if stops.size else len(points) - 1
    if crowded[:end].sum() > 5:
        end = int(np.flatnonzero(crowded)[0]) - 5
    joins = stops.size > 0 and end == stops[0] and bool(meets[end])
    return points[: max(end + joins, 2)]


def paint_roads(canvas: Canvas, roads: list[Road], rng: np.random.Generator) -> np.ndarray:
    """Paint the roads, minor ones first, with bridges where they cross water.

    Returns:
        The signed distance to the edge of the nearest road: float32 [height, width], negative on roads.
    """
    shape = canvas.shape
    nearest = np.full(shape, FAR, dtype=np.float32)
    covering = np.zeros(shape, dtype=np.int16)
    measured = []
    for road in sorted(roads, key=lambda road: road.width):
        found = measure(road.path, shape, road.width / 2 + 40)
        if found is not None:
            window, lateral, _ = found
            to_edge = np.abs(lateral) - np.float32(road.width / 2)
            nearest[window.index] = np.minimum(nearest[window.index], to_edge)
            covering[window.index] += to_edge < 1.5
            measured.append((road, found, to_edge))
    wet = canvas.mask == WATER
    wear = 0.5 * smooth_noise(shape, 30, rng) + 0.5 * smooth_noise(shape, 5, rng)
    verge = np.array([0.50, 0.48, 0.37], dtype=np.float32) * np.float32(rng.normal(1, 0.08))
    for _, (window, _, _), to_edge in measured:
        shoulder = 2.2 + wear[window.index]
        canvas.paint(window, edge(to_edge - shoulder, 2.0) * 0.6 * ~wet[window.index], verge)
    for road, (window, lateral, along), to_edge in measured:
        tracks = np.cos((np.abs(lateral) - road.width / 4) * np.float32(2 * math.pi / 3.6))
        brightness = 1 + 0.035 * wear[window.index] + 0.03 * tracks * (np.abs(lateral) < road.width / 2)
        color = np.asarray(road.color, dtype=np.float32) * brightness[..., None]
        bridge = wet[window.index] & (to_edge <= 1.5)
        canvas.paint_shape(window, to_edge - 1.5 * bridge, color, ROAD)
        canvas.paint(window, edge(np.abs(to_edge - 0.2) - 0.9) * bridge, (0.74, 0.73, 0.70))
        canvas.elevation[window.index][bridge] = 1.2
        if road.marked:
            alone = covering[window.index] == 1
            dashes = edge(np.abs(lateral) - 0.3) * (along % 22 < 11)
            lines = edge(np.abs(to_edge + 1.3) - 0.2) * 0.8
            canvas.paint(window, np.maximum(dashes, lines) * alone * 0.75, (0.86, 0.86, 0.83))
    return nearest


def _asphalt(rng: np.random.Generator) -> np.ndarray:
    """A grey between fresh, dark asphalt and old, pale concrete, slightly warm or cold."""
    return rng.uniform(0.36, 0.58) * np.array([1.0, 0.99, 0.97]) * rng.normal(1.0, 0.012, 3)
