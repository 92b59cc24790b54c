"""Oriented boxes from annotated corners.

A box is (cx, cy, w, h, theta): pixels and radians, x to the right and y downwards. The w axis points along
(cos theta, sin theta), so theta grows clockwise on the screen. The canonical form has w >= h and theta in
(-pi/2, pi/2]. (The official release counts theta the other way round: its theta is the negative of this one.)

The networks of this package have the same rule in torch (`oriented_boxes` of `modeling`). Neither side may import the
other, so a test holds the two together.
"""

from __future__ import annotations

import numpy as np

# The four edges and the two diagonals: every side of the convex hull of four points is among them.
_PAIRS = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2], [1, 3]])


def polygons_to_boxes(polygons: np.ndarray) -> np.ndarray:
    """Smallest oriented boxes around four-cornered polygons; for rectangles the rectangles themselves.

    The smallest rectangle around a set of points has a side along one of the sides of their convex hull.

    Args:
        polygons: `(n, 8)`, the corners x1, y1 .. x4, y4 in order, in pixels.

    Returns:
        float64 `(n, 5)`: cx, cy, w, h, theta in canonical form.
    """
    corners = np.asarray(polygons, dtype=np.float64).reshape(-1, 4, 2)
    return _smallest_boxes(corners, corners[:, _PAIRS[:, 1]] - corners[:, _PAIRS[:, 0]])


def points_to_box(points: np.ndarray) -> np.ndarray:
    """The smallest oriented box around any number of points.

    Args:
        points: `(n, 2)`, x and y in pixels, three or more.

    Returns:
        float64 `(5,)`: cx, cy, w, h, theta in canonical form.
    """
    points = np.asarray(points, dtype=np.float64)
    if len(points) == 4:
        return polygons_to_boxes(points.reshape(1, 8))[0]
    hull = convex_hull(points)
    return _smallest_boxes(hull[None], (np.roll(hull, -1, axis=0) - hull)[None])[0]


def convex_hull(points: np.ndarray) -> np.ndarray:
    """The corners `(m, 2)` of the convex hull of points `(n, 2)`, in order around it (Andrew's monotone chain)."""
    ordered = np.unique(points, axis=0).tolist()
    chains = []
    for sweep in (ordered, ordered[::-1]):
        chain: list[list[float]] = []
        for point in sweep:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        chains.append(chain)
    first, second = chains
    return np.array(first[:-1] + second[:-1] or first, dtype=np.float64)


def _turn(first: list[float], second: list[float], third: list[float]) -> float:
    """Positive where the way over three points turns one way, negative where it turns the other."""
    return (second[0] - first[0]) * (third[1] - first[1]) - (second[1] - first[1]) * (third[0] - first[0])


def _smallest_boxes(corners: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Boxes `(n, 5)` around points `(n, k, 2)` with a side along one of some directions `(n, d, 2)`."""
    # Relative to the mean, so that far from the origin no digits are lost.
    origins = corners.mean(axis=1, keepdims=True)
    points = corners - origins
    lengths = np.linalg.norm(directions, axis=-1, keepdims=True)
    along = np.where(lengths > 0, directions / np.where(lengths > 0, lengths, 1), [1.0, 0.0])
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    x, y = (axes @ points.transpose(0, 2, 1) for axes in (along, across))  # [n, d, k]
    low = np.stack([x.min(axis=-1), y.min(axis=-1)], axis=-1)
    high = np.stack([x.max(axis=-1), y.max(axis=-1)], axis=-1)
    areas = (high - low).prod(axis=-1)
    # The rounding of the areas must not decide between the equal rectangles of parallel sides: the first line wins.
    near = areas <= areas.min(axis=-1, keepdims=True) * (1 + 16 * np.finfo(np.float64).eps)
    chosen = np.arange(len(corners)), near.argmax(axis=-1)

    low, high, along, across = (values[chosen] for values in (low, high, along, across))
    middle = (low + high) / 2
    centres = origins[:, 0] + middle[:, :1] * along + middle[:, 1:] * across
    theta = np.arctan2(along[:, 1], along[:, 0])
    return _canonical(np.column_stack([centres, high - low, theta]))


def _canonical(boxes: np.ndarray) -> np.ndarray:
    """The same boxes, float64 `(n, 5)`, with w >= h and theta in (-pi/2, pi/2]. Squares swap their sides, too."""
    keep = boxes[:, 2] > boxes[:, 3]
    sides = np.where(keep[:, None], boxes[:, 2:4], boxes[:, 3:1:-1])
    theta = np.where(keep, boxes[:, 4], boxes[:, 4] - np.pi / 2)
    turned = theta - np.pi * np.ceil(theta / np.pi - 0.5)
    inside = (theta > -np.pi / 2) & (theta <= np.pi / 2)
    theta = np.where(inside, theta, turned.clip(-np.pi / 2, np.pi / 2))
    return np.column_stack([boxes[:, :2], sides, theta])


def boxes_to_polygons(boxes: np.ndarray) -> np.ndarray:
    """Corners `(n, 8)` of boxes `(n, 5)`, around the centre in the order (-w, -h), (w, -h), (w, h), (-w, h)."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 5)
    cosine, sine = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    along = boxes[:, 2, None] / 2 * np.column_stack([cosine, sine])
    across = boxes[:, 3, None] / 2 * np.column_stack([-sine, cosine])
    centre = boxes[:, :2]
    corners = [centre - along - across, centre + along - across, centre + along + across, centre - along + across]
    return np.concatenate(corners, axis=1)
