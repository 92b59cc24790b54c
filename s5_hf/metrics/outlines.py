"""Scores of outlines: how well polygons of buildings or other land cover fit those of the reference.

Polygons of one class and image are paired where they overlap by more than half (IoU > 0.5), which leaves no choice
where polygons of one side do not overlap each other. Found objects and their quality make the panoptic quality
(Kirillov et al., arXiv 1801.00868); PoLiS (Avbelj et al., 2015), Boundary IoU (Cheng et al., arXiv 2103.16562) and the
numbers of vertices (C-IoU, Zorzi et al., PolyWorld, arXiv 2111.15491) compare the pairs.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import shapely

__all__ = ["OutlineCounts", "boundary_iou", "compare_outlines", "polis", "vertex_count"]

_PAIRED = 0.5
_BOUNDARY_SHARE = 0.02


@dataclass(frozen=True)
class OutlineCounts:
    """Sums over polygons of one class; they add up over images.

    Attributes:
        pairs: polygons of the reference that were found.
        missed, invented: those that were not, and those of the prediction without a partner.
        iou, boundary_iou, vertex_iou: sums over the pairs; the last is IoU times the agreement of vertex numbers.
        polis: sum over the pairs, in pixels.
        reference_vertices, prediction_vertices: of the pairs.
    """

    pairs: int = 0
    missed: int = 0
    invented: int = 0
    iou: float = 0.0
    boundary_iou: float = 0.0
    vertex_iou: float = 0.0
    polis: float = 0.0
    reference_vertices: int = 0
    prediction_vertices: int = 0

    def __add__(self, other: OutlineCounts) -> OutlineCounts:
        return OutlineCounts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def scores(self) -> dict[str, float]:
        """Scores from the sums, NaN where nothing was counted.

        Returns:
            `panoptic_quality`, the product of `segmentation_quality` (mean IoU of the pairs) and
            `recognition_quality` (F1 of the objects); and the means over the pairs `boundary_iou`, `vertex_iou`,
            `polis` (pixels, smaller is better) and `vertex_ratio` (vertices of the prediction to those of the
            reference).
        """
        recognised = _ratio(2 * self.pairs, 2 * self.pairs + self.missed + self.invented)
        quality = _ratio(self.iou, self.pairs)
        return {
            "panoptic_quality": 0.0 if recognised == 0 else recognised * quality,
            "segmentation_quality": quality,
            "recognition_quality": recognised,
            "boundary_iou": _ratio(self.boundary_iou, self.pairs),
            "vertex_iou": _ratio(self.vertex_iou, self.pairs),
            "polis": _ratio(self.polis, self.pairs),
            "vertex_ratio": _ratio(self.prediction_vertices, self.reference_vertices),
        }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def compare_outlines(
    reference: Sequence[shapely.Polygon], prediction: Sequence[shapely.Polygon], size: tuple[int, int]
) -> OutlineCounts:
    """Compare the polygons of one class on one image.

    Args:
        reference, prediction: in pixels; holes count.
        size: (width, height) of the image, from whose diagonal the width of boundaries follows.

    Raises:
        ImportError: shapely is not installed.
        ValueError: a polygon is not valid; the message says which and why.
    """
    if importlib.util.find_spec("shapely") is None:
        raise ImportError('scores of outlines need shapely. Install with: pip install "s5_hf[geo]"')
    import shapely

    for name, polygons in (("reference", reference), ("prediction", prediction)):
        for index, polygon in enumerate(polygons):
            if not isinstance(polygon, shapely.Polygon | shapely.MultiPolygon) or not polygon.is_valid:
                is_area = isinstance(polygon, shapely.Polygon | shapely.MultiPolygon)
                reason = shapely.is_valid_reason(polygon) if is_area else f"a {type(polygon).__name__}"
                raise ValueError(f"polygon {index} of the {name} is not valid: {reason}")
    distance = _BOUNDARY_SHARE * math.hypot(*size)
    counts = OutlineCounts()
    taken: set[int] = set()
    tree = shapely.STRtree(list(prediction))
    for polygon in reference:
        candidates = [index for index in tree.query(polygon).tolist() if index not in taken]
        overlaps = [_iou(polygon, prediction[index]) for index in candidates]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best < 0 or overlaps[best] <= _PAIRED:
            counts += OutlineCounts(missed=1)
            continue
        taken.add(candidates[best])
        counts += _pair(polygon, prediction[candidates[best]], overlaps[best], distance)
    return counts + OutlineCounts(invented=len(prediction) - len(taken))


def _pair(one: shapely.Polygon, other: shapely.Polygon, iou: float, distance: float) -> OutlineCounts:
    vertices = vertex_count(one), vertex_count(other)
    return OutlineCounts(
        pairs=1,
        iou=iou,
        boundary_iou=boundary_iou(one, other, distance),
        vertex_iou=iou * (1 - abs(vertices[0] - vertices[1]) / sum(vertices)),
        polis=polis(one, other),
        reference_vertices=vertices[0],
        prediction_vertices=vertices[1],
    )


def _iou(one: shapely.Polygon, other: shapely.Polygon) -> float:
    both = one.intersection(other).area
    return _ratio(both, one.area + other.area - both)


def boundary_iou(one: shapely.Polygon, other: shapely.Polygon, distance: float) -> float:
    """IoU of the parts of two polygons that lie within a distance of their own outlines, 0..1."""
    return _iou(one.difference(one.buffer(-distance)), other.difference(other.buffer(-distance)))


def polis(one: shapely.Polygon, other: shapely.Polygon) -> float:
    """Mean distance of the vertices of each polygon from the outline of the other, both ways, in pixels."""
    import shapely

    means = [
        float(shapely.distance(shapely.points(_vertices(first)), second.boundary).mean())
        for first, second in ((one, other), (other, one))
    ]
    return sum(means) / 2


def vertex_count(polygon: shapely.Polygon) -> int:
    """Vertices of all rings; the one that closes a ring is not counted again."""
    return len(_vertices(polygon))


def _vertices(polygon: shapely.Polygon) -> np.ndarray:
    import shapely

    rings = shapely.get_rings(shapely.get_parts(polygon))
    return np.concatenate([shapely.get_coordinates(ring)[:-1] for ring in rings])
