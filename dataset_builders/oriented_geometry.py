"""Oriented boxes from annotated corners.

A box is (cx, cy, w, h, theta): pixels and radians, x to the right and y downwards. The w axis points along
(cos theta, sin theta), so theta grows clockwise on the screen. The canonical form has w >= h and theta in
[-pi/2, pi/2). (The official release counts theta the other way round: its theta is the negative of this one.)
"""

from __future__ import annotations

import numpy as np

# The four edges and the two diagonals: every side of the convex hull of four points is among them.
_PAIRS = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2], [1, 3]])


def polygons_to_boxes(polygons: np.ndarray) -> np.ndarray:
    """Smallest oriented boxes around four-cornered polygons; for rectangles the rectangles themselves.

    The smallest rectangle around a set of points has a side along one of the sides of their convex hull.

    Args:
        polygons: [N, 8], the corners x1, y1 .. x4, y4 in order, in pixels.

    Returns:
        float64 [N, 5]: cx, cy, w, h, theta in canonical form.
    """
    corners = np.asarray(polygons, dtype=np.float64).reshape(-1, 4, 2)
    directions = corners[:, _PAIRS[:, 1]] - corners[:, _PAIRS[:, 0]]  # [N, 6, 2]
    lengths = np.linalg.norm(directions, axis=-1, keepdims=True)
    directions = np.where(lengths > 0, directions / np.where(lengths > 0, lengths, 1), [1.0, 0.0])
    normals = np.stack([-directions[..., 1], directions[..., 0]], axis=-1)

    along = np.einsum("nkc,npc->nkp", directions, corners)
    across = np.einsum("nkc,npc->nkp", normals, corners)
    widths, heights = np.ptp(along, axis=-1), np.ptp(across, axis=-1)
    best = np.argmin(widths * heights * (1 + 1e-12 * np.arange(len(_PAIRS))), axis=1)  # ties go to the earlier edge

    rows = np.arange(len(corners))
    along, across, direction, normal = (values[rows, best] for values in (along, across, directions, normals))
    middle = (along.max(axis=-1) + along.min(axis=-1)) / 2, (across.max(axis=-1) + across.min(axis=-1)) / 2
    centres = middle[0][:, None] * direction + middle[1][:, None] * normal
    theta = np.arctan2(direction[:, 1], direction[:, 0])
    return canonical_boxes(np.column_stack([centres, widths[rows, best], heights[rows, best], theta]))


def canonical_boxes(boxes: np.ndarray) -> np.ndarray:
    """The same boxes, [N, 5], with w >= h and theta in [-pi/2, pi/2)."""
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 5)
    swap = boxes[:, 2] < boxes[:, 3]
    boxes[swap, 2:4] = boxes[swap, 3:1:-1]
    boxes[swap, 4] += np.pi / 2
    turned = (boxes[:, 4] + np.pi / 2) % np.pi
    # Rounding can lift the remainder of a tiny negative number to pi itself.
    boxes[:, 4] = np.where(turned >= np.pi, 0.0, turned) - np.pi / 2
    return boxes


def boxes_to_polygons(boxes: np.ndarray) -> np.ndarray:
    """Corners [N, 8] of boxes [N, 5], around the centre in the order (-w, -h), (w, -h), (w, h), (-w, h)."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 5)
    cosine, sine = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    along = boxes[:, 2, None] / 2 * np.column_stack([cosine, sine])
    across = boxes[:, 3, None] / 2 * np.column_stack([-sine, cosine])
    centre = boxes[:, :2]
    corners = [centre - along - across, centre + along - across, centre + along + across, centre - along + across]
    return np.concatenate(corners, axis=1)
