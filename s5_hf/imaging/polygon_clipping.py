"""How much of a polygon lies inside a window: what decides whether a patch keeps a box."""

import numpy as np

from .windows import Window

__all__ = ["clip_polygon", "inside_shares", "polygon_area"]


def polygon_area(polygon: np.ndarray) -> float:
    """Area of a polygon `(n, 2)` in square pixels, by the shoelace formula; less than three points give 0."""
    if len(polygon) < 3:
        return 0.0
    x, y = polygon[:, 0], polygon[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def clip_polygon(polygon: np.ndarray, window: Window) -> np.ndarray:
    """The part of a polygon `(n, 2)` inside a window, `(m, 2)`, by cutting it at the four borders in turn.

    (Sutherland and Hodgman 1974.) The part of a concave polygon may get edges that lie on the border and
    cover no area.
    """
    for axis, border, keeps_above in (
        (0, window.left, True),
        (0, window.right, False),
        (1, window.top, True),
        (1, window.bottom, False),
    ):
        polygon = _cut_at(polygon, axis, border, 1.0 if keeps_above else -1.0)
        if len(polygon) == 0:
            break
    return polygon


def _cut_at(polygon: np.ndarray, axis: int, border: float, sign: float) -> np.ndarray:
    """Keep the points whose signed distance to the border is not negative, and the crossings of the edges."""
    distances = sign * (polygon[:, axis] - border)
    kept: list[np.ndarray] = []
    for index, (point, distance) in enumerate(zip(polygon, distances, strict=True)):
        following, next_distance = polygon[(index + 1) % len(polygon)], distances[(index + 1) % len(polygon)]
        if distance >= 0:
            kept.append(point)
        if (distance >= 0) != (next_distance >= 0):
            kept.append(point + (following - point) * (distance / (distance - next_distance)))
    return np.array(kept).reshape(-1, 2)


def inside_shares(polygons: np.ndarray, window: Window) -> np.ndarray:
    """Share of each polygon's area that lies inside a window.

    Args:
        polygons: `(n, k, 2)` corners in pixels.
        window: the window, in the same coordinates.

    Returns:
        `(n,)` float64 in 0..1. A polygon without area counts as inside, 1, when all of its corners are, else 0.
    """
    polygons = np.asarray(polygons, dtype=np.float64)
    if len(polygons) == 0:
        return np.zeros(0)
    low, high = polygons.min(axis=1), polygons.max(axis=1)
    start, stop = np.array([window.left, window.top]), np.array([window.right, window.bottom])
    shares = ((low >= start) & (high <= stop)).all(axis=1).astype(np.float64)
    crossing = (shares == 0) & (low < stop).all(axis=1) & (high > start).all(axis=1)
    for index in np.flatnonzero(crossing):
        area = polygon_area(polygons[index])
        if area > 0:
            shares[index] = min(1.0, polygon_area(clip_polygon(polygons[index], window)) / area)
    return shares
