"""Masks of objects in one image, each kept as the pixels of its box: a thousand of them need no thousand planes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..modeling.non_maximum_suppression import horizontal_nms

__all__ = ["Masks", "surviving_boxes"]


@dataclass(frozen=True)
class Masks:
    """Masks of one image.

    Attributes:
        height, width: of the image in pixels.
        boxes: int64 `(masks, 4)`, the first and the last column and row that belong to a mask: left, top, right,
            bottom, all inclusive. Zeros for a mask without pixels.
        crops: of each mask the pixels of its box, bool `(bottom - top + 1, right - left + 1)`.
        scores: float32 `(masks,)`, how sure the proposer is; higher is better.
    """

    height: int
    width: int
    boxes: np.ndarray
    crops: tuple[np.ndarray, ...]
    scores: np.ndarray

    @classmethod
    def from_planes(cls, planes: np.ndarray, scores: np.ndarray | None = None) -> Masks:
        """The masks of planes.

        Args:
            planes: bool `(masks, height, width)`.
            scores: `(masks,)`; 1 for all if left out.

        Raises:
            ValueError: for another shape.
        """
        if planes.ndim != 3:
            raise ValueError(f"expected planes (masks, height, width), got {planes.shape}")
        boxes = np.array([plane_box(plane) for plane in planes], dtype=np.int64).reshape(-1, 4)
        crops = tuple(
            plane[top : bottom + 1, left : right + 1].astype(bool)
            for plane, (left, top, right, bottom) in zip(planes, boxes, strict=True)
        )
        scores = np.ones(len(planes)) if scores is None else np.asarray(scores)
        if scores.shape != (len(planes),):
            raise ValueError(f"expected a score for each of {len(planes)} masks, got {scores.shape}")
        return cls(*planes.shape[1:], boxes, crops, scores.astype(np.float32))

    @classmethod
    def none(cls, height: int, width: int) -> Masks:
        """No mask at all."""
        return cls.from_planes(np.zeros((0, height, width), dtype=bool))

    @classmethod
    def joined(cls, parts: Sequence[Masks]) -> Masks:
        """The masks of several sets, one set after the other.

        Raises:
            ValueError: their images differ in size, or there is no set.
        """
        sizes = {(part.height, part.width) for part in parts}
        if len(sizes) != 1:
            raise ValueError(f"expected sets of masks of one size, got {sorted(sizes)}")
        return cls(
            *sizes.pop(),
            np.concatenate([part.boxes for part in parts]),
            tuple(crop for part in parts for crop in part.crops),
            np.concatenate([part.scores for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.crops)

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each mask, int64 `(masks,)`."""
        return np.array([crop.sum() for crop in self.crops], dtype=np.int64)

    def select(self, chosen: np.ndarray) -> Masks:
        """Some of the masks, by indices in the order wanted or by bool `(masks,)`."""
        indices = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        crops = tuple(self.crops[index] for index in indices)
        return Masks(self.height, self.width, self.boxes[indices], crops, self.scores[indices])

    def plane(self, index: int) -> np.ndarray:
        """One mask, bool `(height, width)`."""
        plane = np.zeros((self.height, self.width), dtype=bool)
        self._paste(plane, index)
        return plane

    def planes(self) -> np.ndarray:
        """All masks, bool `(masks, height, width)`; for few masks or small images."""
        planes = np.zeros((len(self), self.height, self.width), dtype=bool)
        for index, plane in enumerate(planes):
            self._paste(plane, index)
        return planes

    def union(self) -> np.ndarray:
        """The pixels of any mask, bool `(height, width)`."""
        # The official code adds masks as bytes, where 256 of them on one pixel make 0.
        plane = np.zeros((self.height, self.width), dtype=bool)
        for index in range(len(self)):
            self._paste(plane, index)
        return plane

    def nms(self, iou_threshold: float) -> np.ndarray:
        """Indices of the masks that survive by their boxes, best score first.

        A box is dropped if its intersection over union with a better one exceeds the threshold. The sides of boxes
        are last minus first pixel, as in the code of SAM.
        """
        return surviving_boxes(self.boxes, self.scores, iou_threshold)

    def overlaps(self, other: Masks) -> np.ndarray:
        """Intersection over union of the pixels of two masks, float64 `(masks, masks of the other)`."""
        if (self.height, self.width) != (other.height, other.width):
            raise ValueError(f"masks of {self.height} x {self.width} and {other.height} x {other.width} pixels")
        areas, other_areas = self.areas, other.areas
        overlaps = np.zeros((len(self), len(other)))
        for row, box in enumerate(self.boxes):
            left, top = np.maximum(box[:2], other.boxes[:, :2]).T
            right, bottom = np.minimum(box[2:], other.boxes[:, 2:]).T
            for column in np.flatnonzero((left <= right) & (top <= bottom)):
                part = (left[column], top[column], right[column], bottom[column])
                shared = int((self._part(row, part) & other._part(column, part)).sum())
                overlaps[row, column] = shared / max(areas[row] + other_areas[column] - shared, 1)
        return overlaps

    def changed(self, change: Callable[[np.ndarray], np.ndarray]) -> Masks:
        """The masks after a change of each plane; scores stay."""
        planes = [Masks.from_planes(change(self.plane(index))[None]) for index in range(len(self))]
        if not planes:
            return self
        return Masks(
            self.height,
            self.width,
            np.concatenate([part.boxes for part in planes]),
            tuple(part.crops[0] for part in planes),
            self.scores,
        )

    def _part(self, index: int, box: tuple[int, int, int, int]) -> np.ndarray:
        """The pixels of a mask in a box that lies inside its own."""
        left, top = self.boxes[index, :2]
        return self.crops[index][box[1] - top : box[3] - top + 1, box[0] - left : box[2] - left + 1]

    def _paste(self, plane: np.ndarray, index: int) -> None:
        left, top, right, bottom = self.boxes[index]
        plane[top : bottom + 1, left : right + 1] |= self.crops[index]


def surviving_boxes(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Indices of the boxes that survive, as `Masks.nms` has them."""
    return horizontal_nms(torch.from_numpy(boxes).double(), torch.from_numpy(scores), iou_threshold).numpy()


def plane_box(plane: np.ndarray) -> tuple[int, int, int, int]:
    """The first and the last column and row of a mask: left, top, right, bottom; zeros where it has no pixels."""
    columns, rows = np.flatnonzero(plane.any(axis=0)), np.flatnonzero(plane.any(axis=1))
    if not len(columns):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])
