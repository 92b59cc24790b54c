"""Winding lines: the course of roads and rivers, and how far each pixel lies from them."""

import math
from dataclasses import dataclass

import numpy as np

from .canvas import Window, window_around


@dataclass(frozen=True)
class Path:
    """A line through float [K, 2] points (x, y)."""

    points: np.ndarray

    @property
    def distances(self) -> np.ndarray:
        """The distance along the line at each point."""
        return np.concatenate([[0.0], np.hypot(*np.diff(self.points, axis=0).T).cumsum()])

    def at(self, along: float) -> tuple[float, float, float]:
        """Position and heading (x, y, radians) at a distance along the line."""
        distances = self.distances
        x, y = (float(np.interp(along, distances, self.points[:, axis])) for axis in (0, 1))
        segment = int(np.clip(np.searchsorted(distances, along) - 1, 0, len(self.points) - 2))
        dx, dy = self.points[segment + 1] - self.points[segment]
        return x, y, math.atan2(dy, dx)


def wander(
    start: tuple[float, float], heading: float, length: float, bend: float, rng: np.random.Generator
) -> np.ndarray:
    """Points every 10 pixels of a line that keeps its general heading and bends by about `bend` radians."""
    steps = max(int(length / 10), 2)
    knots = np.arange(0, steps + 20, 20)
    turns = np.interp(np.arange(steps), knots, rng.normal(0.0, bend, len(knots)))
    turns = np.convolve(np.pad(turns, 6, mode="edge"), np.full(13, 1 / 13), mode="valid")
    course = heading + turns - turns[0]
    moves = 10.0 * np.stack([np.cos(course), np.sin(course)], axis=-1)
    return np.concatenate([[start], np.asarray(start) + moves.cumsum(axis=0)])


def wander_across(
    shape: tuple[int, int], through: tuple[float, float], heading: float, bend: float, rng: np.random.Generator
) -> Path:
    """A line through a point that leaves the image at both ends."""
    reach = math.hypot(*shape) + 40
    ahead = wander(through, heading, reach, bend, rng)
    behind = wander(through, heading + math.pi, reach, bend, rng)
    points = np.concatenate([behind[:0:-1], ahead])
    near = ((points > -60) & (points < np.array([shape[1] + 60, shape[0] + 60]))).all(axis=1)
    first, last = np.flatnonzero(near)[[0, -1]]
    return Path(points[first : last + 1])


def measure(path: Path, shape: tuple[int, int], reach: float) -> tuple[Window, np.ndarray, np.ndarray] | None:
    """How the pixels within `reach` of a line lie to it.

    Returns:
        The window around the line, the signed distance from the line (positive to the right of its direction; at
        least `reach` where the line is far) and the distance along it, both float32 [rows, columns]. None if the line
        is off the image.
    """
    low, high = path.points.min(axis=0) - reach, path.points.max(axis=0) + reach
    window = window_around(shape, low[0], low[1], high[0], high[1])
    if window is None:
        return None
    lateral = np.full((window.y.size, window.x.size), reach, dtype=np.float32)
    along = np.zeros_like(lateral)
    rows, columns = (part.start for part in window.index)
    for (x0, y0), (x1, y1), before in zip(path.points[:-1], path.points[1:], path.distances[:-1], strict=True):
        near = window_around(shape, min(x0, x1) - reach, min(y0, y1) - reach, max(x0, x1) + reach, max(y0, y1) + reach)
        if near is None:
            continue
        part = (
            slice(near.index[0].start - rows, near.index[0].stop - rows),
            slice(near.index[1].start - columns, near.index[1].stop - columns),
        )
        length = max(math.hypot(x1 - x0, y1 - y0), 1e-6)
        cosine, sine = (x1 - x0) / length, (y1 - y0) / length
        dx, dy = near.x - np.float32(x0), near.y - np.float32(y0)
        forward = dx * np.float32(cosine) + dy * np.float32(sine)
        right = dy * np.float32(cosine) - dx * np.float32(sine)
        on_segment = np.clip(forward, 0, length)
        distance = np.hypot(right, forward - on_segment)
        closer = distance < np.abs(lateral[part])
        lateral[part][closer] = np.copysign(distance, right)[closer]
        along[part][closer] = (before + on_segment)[closer]
    return window, lateral, along
