"""Regions simplified as a coverage: a side that two regions share is simplified once, so that both stay on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from shapely import Polygon

__all__ = ["region_corners", "simplified_coverage"]


def region_corners(ids: np.ndarray, above: np.ndarray | None, below: np.ndarray | None) -> np.ndarray:
    """The corners of pixels where a border turns, or where borders meet: those that outlines need.

    Args:
        ids: class ids of a band of rows, `(rows, width)`.
        above, below: the rows next to the band, `(width,)`; None at the ends of the map. The band ends at lines that
            count as borders, and neighbouring bands agree about the corners on them.

    Returns:
        Bool `(rows + 1, width + 1)`.
    """
    height, width = ids.shape
    upright = np.zeros((height + 2, width + 1), dtype=bool)  # a border between a pixel and the one to its left
    for row, line in ((0, above), (height + 1, below)):
        if line is not None:
            upright[row] = _changes(line[None])[0]
    upright[1:-1] = _changes(ids)
    level = np.zeros((height + 1, width + 2), dtype=bool)  # a border between a pixel and the one above it
    level[:, 1:-1] = _changes(ids.T).T
    up, down, left, right = upright[:-1], upright[1:], level[:, :-1], level[:, 1:]
    straight = (up & down & ~left & ~right) | (left & right & ~up & ~down)
    return (up | down | left | right) & ~straight


def simplified_coverage(
    outlines: Sequence[Polygon], top: int, corners: np.ndarray, tolerance: float
) -> Sequence[Polygon]:
    """All regions of a band, simplified along the sides that they share; the border of the band stays.

    Visvalingam's algorithm, which drops the corner of the smallest triangle first. Points where three regions meet
    stay, and lines do not cross. Corners keep their whole coordinates.

    Args:
        outlines: exact ones in pixels, which cover the band without gaps.
        top: row at which the band begins.
        corners: of `region_corners`.
        tolerance: in pixels; corners whose triangle has an area below its square are dropped.
    """
    import shapely

    if not outlines:
        return outlines
    # Neighbours must have the same corners, also where only one of them turns: walk along all pixels, keep those.
    stepped = shapely.segmentize(np.array(outlines, dtype=object), 1.0)
    kind, points, (ring_ends, polygon_ends) = shapely.to_ragged_array(stepped)
    points = np.rint(points)
    column, row = points.astype(np.int64).T
    kept = corners[row - top, column]
    counts = np.concatenate([[0], np.cumsum(kept)])
    matched = shapely.from_ragged_array(kind, points[kept], (counts[ring_ends], polygon_ends))
    return shapely.coverage_simplify(matched, tolerance, simplify_boundary=False)


def _changes(ids: np.ndarray) -> np.ndarray:
    """Where a row begins, ends or changes its class: bool `(rows, width + 1)`."""
    changes = np.ones((ids.shape[0], ids.shape[1] + 1), dtype=bool)
    changes[:, 1:-1] = ids[:, 1:] != ids[:, :-1]
    return changes
