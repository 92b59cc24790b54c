"""The part that two convex polygons share."""

import numpy as np

__all__ = ["clip_convex"]


def clip_convex(polygon: np.ndarray, clip: np.ndarray) -> np.ndarray:
    """The part of a polygon `(n, 2)` inside a convex one `(m, 2)`, `(k, 2)`; either may run either way round.

    The polygon is cut at the line of every edge in turn (Sutherland and Hodgman 1974).
    """
    x, y = clip[:, 0], clip[:, 1]
    turn = np.sign(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    for start, end in zip(clip, np.roll(clip, -1, axis=0), strict=True):
        if len(polygon) == 0:
            break
        edge = end - start
        # Positive on the inner side of the edge.
        distances = turn * (edge[0] * (polygon[:, 1] - start[1]) - edge[1] * (polygon[:, 0] - start[0]))
        polygon = _cut(polygon, distances)
    return polygon


def _cut(polygon: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """The points on the inner side of a line, and the crossings of the edges with it."""
    kept: list[np.ndarray] = []
    for index, (point, distance) in enumerate(zip(polygon, distances, strict=True)):
        following = (index + 1) % len(polygon)
        if distance >= 0:
            kept.append(point)
        if (distance >= 0) != (distances[following] >= 0):
            kept.append(point + (polygon[following] - point) * (distance / (distance - distances[following])))
    return np.array(kept).reshape(-1, 2)
