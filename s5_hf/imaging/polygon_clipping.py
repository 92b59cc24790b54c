"""The part of a polygon that lies inside a window or inside another polygon."""

import numpy as np

from .windows import Window

__all__ = ["clip_convex", "clip_polygon", "inside_shares", "polygon_area"]


def polygon_area(polygon: np.ndarray) -> float:
    """Area of a polygon `(n, 2)` in square pixels, by the shoelace formula; fewer than three points give 0."""
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
        sign = 1.0 if keeps_above else -1.0
        polygon = _cut(polygon, sign * (polygon[:, axis] - border))
        if len(polygon) == 0:
            break
    return polygon


def clip_convex(polygon: np.ndarray, clip: np.ndarray) -> np.ndarray:
    """The part of a polygon `(n, 2)` inside a convex one `(m, 2)`, `(k, 2)`, by cutting it at every edge in turn.

    Both may run clockwise or counter-clockwise.
    """
    x, y = clip[:, 0], clip[:, 1]
    turn = np.sign(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    for start, end in zip(clip, np.roll(clip, -1, axis=0), strict=True):
        if len(polygon) == 0:
            break
        edge = end - start
        # Positive on the inner side of the edge.
        polygon = _cut(polygon, turn * (edge[0] * (polygon[:, 1] - start[1]) - edge[1] * (polygon[:, 0] - start[0])))
    return polygon


def _cut(polygon: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """The points whose signed distance to a line is not negative, and the crossings of the edges with the line."""
    kept: list[np.ndarray] = []
    for index, (point, distance) in enumerate(zip(polygon, distances, strict=True)):
        following = (index + 1) % len(polygon)
        if distance >= 0:
            kept.append(point)
        if (distance >= 0) != (distances[following] >= 0):
            kept.append(point + (polygon[following] - point) * (distance / (distance - distances[following])))
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
