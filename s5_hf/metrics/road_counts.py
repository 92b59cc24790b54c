"""Counts of road graphs: crossings that are found, and pixels that both graphs cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import KDTree

from ..dataset_builders.road_graph import RoadGraph
from .sums import Sums

__all__ = ["FoundCounts", "junction_counts", "road_mask", "road_pixel_counts"]

_CROSSING_DEGREE = 3


@dataclass(frozen=True)
class FoundCounts(Sums):
    """What was found of what there is; counts add up over tiles.

    Attributes:
        both: found and there.
        reference: there.
        prediction: found.
    """

    both: int = 0
    reference: int = 0
    prediction: int = 0

    @property
    def precision(self) -> float:
        """Share of what was found that is there; NaN if nothing was found."""
        return self.both / self.prediction if self.prediction else float("nan")

    @property
    def recall(self) -> float:
        """Share of what is there that was found; NaN if there is nothing."""
        return self.both / self.reference if self.reference else float("nan")

    @property
    def f1(self) -> float:
        """The harmonic mean of both; NaN if there is nothing and nothing was found."""
        total = self.reference + self.prediction
        return 2 * self.both / total if total else float("nan")

    @property
    def iou(self) -> float:
        """Intersection over union; NaN as `f1`."""
        union = self.reference + self.prediction - self.both
        return self.both / union if union else float("nan")


def junction_counts(reference: RoadGraph, prediction: RoadGraph, radius: float = 10.0) -> FoundCounts:
    """Crossings (nodes where at least three roads meet) that have a partner of their own within `radius` pixels.

    Partners are chosen so that there are as many as possible.

    Raises:
        ValueError: `radius` is not above 0.
    """
    if not radius > 0:
        raise ValueError(f"radius must be above 0, got {radius}")
    ours, theirs = (graph.nodes[graph.degrees() >= _CROSSING_DEGREE] for graph in (reference, prediction))
    both = 0
    if len(ours) and len(theirs):
        near = KDTree(ours).sparse_distance_matrix(KDTree(theirs), radius, output_type="ndarray")
        graph = csr_matrix((np.ones(len(near)), (near["i"], near["j"])), shape=(len(ours), len(theirs)))
        both = int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())
    return FoundCounts(both, len(ours), len(theirs))


def road_pixel_counts(
    reference: RoadGraph, prediction: RoadGraph, size: tuple[int, int], half_width: float = 2.0
) -> FoundCounts:
    """Pixels that the roads of two graphs cover.

    Args:
        reference, prediction: in pixels.
        size: (width, height) of the image.
        half_width: pixels whose centres are no farther than this from an edge belong to a road.
    """
    ours, theirs = (road_mask(graph, size, half_width) for graph in (reference, prediction))
    return FoundCounts(int((ours & theirs).sum()), int(ours.sum()), int(theirs.sum()))


def road_mask(graph: RoadGraph, size: tuple[int, int], half_width: float = 2.0) -> np.ndarray:
    """Where the centre of a pixel is no farther than `half_width` from an edge, bool `(height, width)`.

    Raises:
        ValueError: a side of `size` is below 1, or `half_width` is not above 0.
    """
    width, height = size
    if min(size) < 1 or not half_width > 0:
        raise ValueError(f"expected sides of at least 1 px and a half width above 0, got {size} and {half_width}")
    mask = np.zeros((height, width), dtype=bool)
    for begin, end in graph.nodes[graph.edges]:
        low = np.floor(np.minimum(begin, end) - half_width - 0.5).astype(int).clip(0, size)
        high = np.ceil(np.maximum(begin, end) + half_width + 0.5).astype(int).clip(0, size)
        x, y = np.arange(low[0], high[0]) + 0.5 - begin[0], (np.arange(low[1], high[1]) + 0.5 - begin[1])[:, None]
        step = end - begin
        along = ((x * step[0] + y * step[1]) / max(float(step @ step), 1e-12)).clip(0, 1)
        near = np.hypot(x - along * step[0], y - along * step[1]) <= half_width
        mask[low[1] : high[1], low[0] : high[0]] |= near
    return mask
