"""Rivers and lakes."""

import math

import numpy as np

from .canvas import WATER, Canvas, edge, smooth_noise, window_around
from .paths import Path, measure, wander_across

FAR = 1e3
"""The distance to water, in pixels, where there is none near."""


def river_distance(shape: tuple[int, int], main_road: Path, rng: np.random.Generator) -> np.ndarray:
    """The signed distance to a river that crosses the main road: float32 [height, width], negative in the water."""
    x, y, heading = main_road.at(rng.uniform(0.15, 0.85) * main_road.distances[-1])
    center = np.array([shape[1], shape[0]]) / 2
    through = center + 0.9 * (np.clip([x, y], 0, 2 * center) - center)
    course = wander_across(shape, (through[0], through[1]), heading + rng.uniform(1.1, 2.0), 0.55, rng)
    half_width = rng.uniform(9, 22) * min(1.0, min(shape) / 300)
    distance = np.full(shape, FAR, dtype=np.float32)
    measured = measure(course, shape, half_width + 60)
    if measured is not None:
        window, lateral, along = measured
        swelling = 1 + 0.18 * np.sin(along / rng.uniform(35, 60)) + 0.12 * np.sin(along / rng.uniform(12, 22))
        from_bank = np.abs(lateral) - half_width * swelling + 1.2 * smooth_noise(lateral.shape, 9, rng)
        distance[window.index] = np.where(np.abs(lateral) >= half_width + 59, FAR, from_bank)
    return distance


def add_lake(distance: np.ndarray, road_points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put a lake where it fits best between roads and other water, if there is room.

    Args:
        distance: float32 [height, width], signed distance to the water so far.
        road_points: float [K, 2], points of all roads.

    Returns:
        The signed distance with the lake.
    """
    height, width = distance.shape
    wanted = rng.uniform(28, 85) * min(1.0, min(height, width) / 400)
    best_radius, best_center = 0.0, (0.0, 0.0)
    for x, y in rng.uniform(0.08, 0.92, (40, 2)) * [width, height]:
        room = float(np.hypot(*(road_points - [x, y]).T).min()) - 16
        radius = min(wanted, room / 1.25, float(distance[int(y), int(x)]) / 1.25)
        if radius > best_radius:
            best_radius, best_center = radius, (x, y)
    if best_radius < 9:
        return distance
    reach = best_radius * 1.6 + 60
    x, y = best_center
    window = window_around((height, width), x - reach, y - reach, x + reach, y + reach)
    if window is None:
        return distance
    stretch, turn = rng.uniform(0.65, 0.95), rng.uniform(0, math.pi)
    dx, dy = window.x - x, window.y - y
    u = dx * math.cos(turn) + dy * math.sin(turn)
    v = (dy * math.cos(turn) - dx * math.sin(turn)) / stretch
    angle = np.arctan2(v, u)
    outline = 1 + sum(
        rng.uniform(-0.1, 0.1) / order * 2 * np.sin(order * angle + rng.uniform(0, 6.3)) for order in (2, 3, 5, 7)
    )
    lake = (np.hypot(u, v) - best_radius * outline) * stretch + smooth_noise(angle.shape, 9, rng)
    distance = distance.copy()
    distance[window.index] = np.minimum(distance[window.index], lake)
    return distance


def paint_water(canvas: Canvas, distance: np.ndarray, rng: np.random.Generator) -> None:
    """Paint water with its banks: muddy or reedy at the edge, darker where deep."""
    shape = canvas.shape
    window = window_around(shape, 0, 0, shape[1], shape[0])
    if window is None or distance.min() > 3:
        return
    bank = np.array([0.45, 0.42, 0.32]) if rng.random() < 0.5 else np.array([0.30, 0.36, 0.20])
    width = rng.uniform(2, 5) * (1 + 0.5 * smooth_noise(shape, 25, rng))
    canvas.paint(window, edge(distance - width, 2.5) * 0.8, bank)
    deep, shallow = [
        (np.array([0.13, 0.19, 0.20]), np.array([0.24, 0.27, 0.22])),
        (np.array([0.18, 0.23, 0.19]), np.array([0.31, 0.33, 0.24])),
        (np.array([0.16, 0.25, 0.31]), np.array([0.28, 0.35, 0.35])),
        (np.array([0.30, 0.31, 0.25]), np.array([0.40, 0.38, 0.29])),
    ][rng.integers(4)]
    depth = np.clip(-distance / rng.uniform(7, 16), 0, 1)[..., None]
    ripples = 0.035 * smooth_noise(shape, 2.5, rng) + 0.05 * smooth_noise(shape, 60, rng)
    color = (shallow + depth * (deep - shallow)) * (1 + ripples[..., None])
    canvas.paint_shape(window, distance, color.astype(np.float32), WATER)
