"""Average precision: which detections are right, and the area under precision over recall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["PrecisionRecall", "area_average_precision", "eleven_point_average_precision", "match_detections"]


def match_detections(
    overlaps: np.ndarray, difficult: np.ndarray, iou_thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Judge the detections of one image and class, as PASCAL VOC does.

    A detection looks at the one reference that it overlaps most. If that overlap reaches the threshold, it is right
    for the best-scored detection of that reference and wrong (a duplicate) for all others; with a difficult reference
    it counts as neither. Otherwise it is wrong. (Everingham et al. 2010, section 3.4.)

    Args:
        overlaps: [N, M] IoU of N detections, best score first, with M references.
        difficult: bool [M].
        iou_thresholds: [T].

    Returns:
        bool [T, N] and [T, N]: right ones, and those that do not count.
    """
    shape = len(iou_thresholds), len(overlaps)
    right, ignored = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    if overlaps.size == 0:
        return right, ignored
    nearest = overlaps.argmax(axis=1)
    reached = overlaps[np.arange(len(overlaps)), nearest] >= np.asarray(iou_thresholds)[:, None]
    ignored = reached & difficult[nearest]
    for row, counted in zip(right, reached & ~ignored, strict=True):
        candidates = np.flatnonzero(counted)
        row[candidates[np.unique(nearest[candidates], return_index=True)[1]]] = True
    return right, ignored


@dataclass(frozen=True)
class PrecisionRecall:
    """The curve of one class: `right` [N], how many of the best 1 .. N detections are right, and `references`."""

    right: np.ndarray
    references: int

    @classmethod
    def from_detections(
        cls, scores: np.ndarray, right: np.ndarray, ignored: np.ndarray, references: int
    ) -> PrecisionRecall:
        """From detections [N] in any order; equal scores keep their order. Ignored ones are left out."""
        order = np.argsort(-scores, kind="stable")
        return cls(np.cumsum(right[order][~ignored[order]], dtype=np.int64), references)

    @property
    def precision(self) -> np.ndarray:
        """Share of the detections so far that are right, [N]."""
        return self.right / np.arange(1, len(self.right) + 1)


def area_average_precision(curve: PrecisionRecall) -> float:
    """Area under the precision envelope (VOC 2010 and later, COCO in the limit); NaN without references."""
    if curve.references == 0:
        return float("nan")
    # The envelope: the best precision at this recall or any higher one.
    envelope = np.maximum.accumulate(curve.precision[::-1])[::-1]
    steps = np.diff(curve.right, prepend=0)
    return float((envelope * steps).sum() / curve.references)


def eleven_point_average_precision(curve: PrecisionRecall, official_recalls: bool = False) -> float:
    """Mean of the best precision at recall 0, 0.1 .. 1 or higher (VOC 2007); NaN without references.

    Args:
        curve: of one class.
        official_recalls: compare recalls in floating point, with the multiples of 0.1 that the official release has.
            Its third, sixth and seventh are a little above 0.3, 0.6 and 0.7 (0.30000000000000004 and so on), so that
            it misses recalls of exactly these, as do the numbers published for DIOR-R. By default recalls are
            compared in whole numbers.
    """
    if curve.references == 0:
        return float("nan")
    if official_recalls:
        reached = curve.right / curve.references >= 0.1 * np.arange(11)[:, None]
    else:
        reached = 10 * curve.right >= np.arange(11)[:, None] * curve.references
    return float(np.mean([curve.precision[row].max(initial=0.0) for row in reached]))
