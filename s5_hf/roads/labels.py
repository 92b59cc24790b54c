"""What a network learns from a road graph: rasters of keypoints and roads, and the points of a crop.

Source: SAM-Road++ (arXiv 2411.16733) with the numerics of the official code. Positions are (x, y) in pixels, boxes
(left, top, right, bottom).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from ..dataset_builders.road_graph import RoadGraph

__all__ = ["PiecedGraph", "find_crossings", "near_box", "road_rasters", "subdivide"]

KEYPOINT_RADIUS = 3
ROAD_HALF_WIDTH = 2
OUTLINE = 0.45
"""Pixels that the outline of a band adds to it; a line of pixels reaches half a pixel to either side."""

PIECE = 4
"""Pixels, about, of the pieces that an edge is cut into."""

CROSSING_RADIUS = 4
INTERESTING_RADIUS = 32

Box = tuple[int, int, int, int]


def road_rasters(graph: RoadGraph, box: Box) -> np.ndarray:
    """Keypoints and roads of a crop.

    A keypoint is a disc around every node whose degree is not 2, a road a band along every edge with round ends.
    Positions are truncated to pixels.

    Args:
        graph: of the image.
        box: of the crop, which may reach beyond the image.

    Returns:
        bool `(2, height, width)`: keypoints, roads.
    """
    left, top, right, bottom = box
    rasters = np.zeros((2, bottom - top, right - left), dtype=bool)
    pixels = np.trunc(graph.nodes).astype(np.int64) - (left, top)
    for x, y in pixels[graph.degrees() != 2].tolist():
        _draw(rasters[0], (x, y), (x, y), KEYPOINT_RADIUS)
    for first, second in graph.edges.tolist():
        _draw(rasters[1], tuple(pixels[first]), tuple(pixels[second]), ROAD_HALF_WIDTH)
    return rasters


def _draw(raster: np.ndarray, start: tuple[int, int], end: tuple[int, int], radius: int) -> None:
    """Set the pixels of discs around two pixels, and those of the band between them, as OpenCV does (IoU 0.98)."""
    (x0, y0), (x1, y1) = start, end
    height, width = raster.shape
    left, right = max(0, min(x0, x1) - radius - 1), min(width, max(x0, x1) + radius + 2)
    top, bottom = max(0, min(y0, y1) - radius - 1), min(height, max(y0, y1) + radius + 2)
    if left >= right or top >= bottom:
        return
    x, y = np.arange(left, right)[None, :], np.arange(top, bottom)[:, None]
    part = raster[top:bottom, left:right]
    for center_x, center_y in {start, end}:
        part |= (x - center_x) ** 2 + (y - center_y) ** 2 <= radius**2
    length = float(np.hypot(x1 - x0, y1 - y0))
    if length:
        ends = np.array([start, end], dtype=np.float64)
        aside = np.array([y0 - y1, x1 - x0]) * (radius / length)
        corners = np.array([ends[0] + aside, ends[1] + aside, ends[1] - aside, ends[0] - aside])
        part |= _in_convex(corners, x, y, 0.0)
        part |= _in_convex(np.rint(corners), x, y, OUTLINE)


def _in_convex(corners: np.ndarray, x: np.ndarray, y: np.ndarray, reach: float) -> np.ndarray:
    """Which pixels lie in a convex polygon, or beyond a side by less than `reach` pixels along an axis."""
    inside = np.ones(np.broadcast_shapes(x.shape, y.shape), dtype=bool)
    center = corners.mean(axis=0)
    for (corner_x, corner_y), (step_x, step_y) in zip(corners, np.roll(corners, -1, axis=0) - corners, strict=True):
        side = step_x * (y - corner_y) - step_y * (x - corner_x)
        facing = np.sign(step_x * (center[1] - corner_y) - step_y * (center[0] - corner_x))
        inside &= side * facing >= -reach * max(abs(step_x), abs(step_y))
    return inside


def near_box(graph: RoadGraph, box: Box, margin: float) -> tuple[RoadGraph, np.ndarray]:
    """The edges of a graph whose hulls come within a margin of a box, and the isolated nodes there.

    Returns:
        graph: with these edges whole, and their nodes in their order.
        degrees: of its nodes in the whole graph, int64 `(n,)`.
    """
    left, top, right, bottom = box
    low, high = np.array([left, top]) - margin, np.array([right, bottom]) + margin
    ends = graph.nodes[graph.edges]
    kept = ((ends.max(axis=1) >= low) & (ends.min(axis=1) <= high)).all(axis=1)
    degrees = graph.degrees()
    used = (degrees == 0) & ((graph.nodes >= low) & (graph.nodes <= high)).all(axis=1)
    used[graph.edges[kept]] = True
    numbers = np.cumsum(used) - 1
    return RoadGraph(graph.nodes[used], numbers[graph.edges[kept]]), degrees[used]


def subdivide(nodes: np.ndarray, edges: np.ndarray, piece: float = PIECE) -> tuple[np.ndarray, np.ndarray]:
    """Cut every edge into max(1, int(length / piece)) equal pieces.

    Returns:
        points: float64 `(n, 2)`, the nodes first, then the new points edge by edge.
        pieces: int64 `(m, 2)`, pairs of numbers of points.
    """
    points, pieces = [np.asarray(nodes, dtype=np.float64).reshape(-1, 2)], []
    count = len(nodes)
    for first, second in np.asarray(edges).tolist():
        start, end = points[0][first], points[0][second]
        parts = max(1, int(np.linalg.norm(end - start) / piece))
        shares = np.arange(1, parts)[:, None] / parts
        points.append(start + shares * (end - start))
        chain = np.concatenate([[first], np.arange(count, count + parts - 1), [second]])
        pieces.append(np.stack([chain[:-1], chain[1:]], axis=1))
        count += parts - 1
    return np.concatenate(points), np.concatenate([np.zeros((0, 2), dtype=np.int64), *pieces])


def find_crossings(nodes: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Where edges without a common node cross, as a bridge crosses a road: float64 `(n, 2)`."""
    if len(edges) < 2:
        return np.zeros((0, 2))
    ends = np.asarray(nodes, dtype=np.float64)[edges]
    order = np.argsort(ends[:, :, 0].min(axis=1), kind="stable")
    ends, edges = ends[order], np.asarray(edges)[order]
    lows, highs = ends.min(axis=1), ends.max(axis=1)
    lasts = np.searchsorted(lows[:, 0], highs[:, 0], side="right")
    found = [np.zeros((0, 2))]
    for index, last in enumerate(lasts):
        others = np.arange(index + 1, last)
        others = others[(lows[others, 1] <= highs[index, 1]) & (highs[others, 1] >= lows[index, 1])]
        others = others[~(edges[others][:, :, None] == edges[index]).any(axis=(1, 2))]
        found.append(_intersections(ends[index], ends[others]))
    return np.concatenate(found)


def _intersections(segment: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Where a segment `(2, 2)` meets others `(n, 2, 2)`; parallel ones meet nowhere."""
    step, steps = segment[1] - segment[0], others[:, 1] - others[:, 0]
    between = others[:, 0] - segment[0]
    scale = step[0] * steps[:, 1] - step[1] * steps[:, 0]
    crossing = scale != 0
    scale, steps, between = scale[crossing], steps[crossing], between[crossing]
    share = (between[:, 0] * steps[:, 1] - between[:, 1] * steps[:, 0]) / scale
    other_share = (between[:, 0] * step[1] - between[:, 1] * step[0]) / scale
    inside = (share >= 0) & (share <= 1) & (other_share >= 0) & (other_share <= 1)
    return segment[0] + share[inside, None] * step


@dataclass(frozen=True)
class PiecedGraph:
    """A graph in short pieces, with what decides which of its points a network is asked about.

    Attributes:
        points: float64 `(n, 2)`.
        pieces: int64 `(m, 2)`, pairs of numbers of points.
        is_keypoint: bool `(n,)`: ends and junctions, whose degree is not 2.
        is_excluded: bool `(n,)`: so near a crossing without a node that it cannot be said on which road a point lies.
        is_interesting: bool `(n,)`: near a keypoint or a crossing.
    """

    points: np.ndarray
    pieces: np.ndarray
    is_keypoint: np.ndarray
    is_excluded: np.ndarray
    is_interesting: np.ndarray

    @classmethod
    def of(cls, graph: RoadGraph, degrees: np.ndarray | None = None) -> PiecedGraph:
        """The pieces of a graph.

        Args:
            graph: of an image, or a part of one.
            degrees: of its nodes, where they have edges that are not part of it.
        """
        degrees = graph.degrees() if degrees is None else degrees
        points, pieces = subdivide(graph.nodes, graph.edges)
        crossings = find_crossings(graph.nodes, graph.edges)
        is_keypoint = np.zeros(len(points), dtype=bool)
        is_keypoint[: len(graph.nodes)] = degrees != 2
        return cls(
            points,
            pieces,
            is_keypoint,
            _is_within(points, crossings, CROSSING_RADIUS),
            _is_within(points, np.concatenate([points[is_keypoint], crossings]), INTERESTING_RADIUS),
        )


def _is_within(points: np.ndarray, others: np.ndarray, radius: float) -> np.ndarray:
    """Whether a point has one of the others within a radius, inclusive."""
    if not len(points) or not len(others):
        return np.zeros(len(points), dtype=bool)
    return KDTree(others).query(points)[0] <= radius
