"""Road masks thinned to graphs: how masks become training data, and what a segmentation is worth as a graph."""

from __future__ import annotations

import numpy as np

from ..dataset_builders.road_graph import RoadGraph
from .graph_cleaning import simplified_graph, without_isolated_nodes, without_stubs

__all__ = ["skeleton_graph"]

STEPS = ((1, 0), (0, 1), (1, 1), (-1, 1))
"""To half of the eight neighbours of a pixel, (x, y); the straight ones first."""


def skeleton_graph(mask: np.ndarray, tolerance: float = 1.5, shortest_stub: float = 12.0) -> RoadGraph:
    """The centre lines of a road mask.

    Args:
        mask: bool `(height, width)`.
        tolerance: pixels by which a simplified line may leave the skeleton.
        shortest_stub: dead ends that are shorter, in pixels, are dropped: thinning leaves such at every bump.

    Returns:
        A graph whose nodes lie in the middle of pixels.

    Raises:
        ImportError: scikit-image is missing (`pip install 's5_hf[change]'`).
        ValueError: if the mask is not bool `(height, width)`.
    """
    if mask.ndim != 2 or mask.dtype != bool:
        raise ValueError(f"the road mask is {mask.dtype} {mask.shape}, expected bool (height, width)")
    try:
        from skimage.morphology import skeletonize
    except ImportError as error:
        raise ImportError("thinning a road mask needs scikit-image: pip install 's5_hf[change]'") from error
    graph = without_isolated_nodes(pixel_graph(skeletonize(mask)))
    pruned, _ = without_stubs(graph, shortest_stub)
    return simplified_graph(pruned, tolerance)[0]


def pixel_graph(skeleton: np.ndarray) -> RoadGraph:
    """Pixels of a skeleton as nodes, joined with their neighbours; diagonally only where no straight way leads."""
    height, width = skeleton.shape
    rows, columns = np.nonzero(skeleton)
    numbers = np.full((height + 2, width + 2), -1, dtype=np.int64)  # with a border, so that every pixel has neighbours
    numbers[rows + 1, columns + 1] = np.arange(len(rows))
    edges = []
    for step_x, step_y in STEPS:
        others = numbers[rows + 1 + step_y, columns + 1 + step_x]
        joined = others >= 0
        if step_x and step_y:
            joined &= (numbers[rows + 1, columns + 1 + step_x] < 0) & (numbers[rows + 1 + step_y, columns + 1] < 0)
        edges.append(np.stack([np.flatnonzero(joined), others[joined]], axis=1))
    nodes = np.stack([columns, rows], axis=1) + 0.5
    return RoadGraph(nodes, np.concatenate(edges))
