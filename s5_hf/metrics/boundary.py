"""Boundary IoU: how well the outlines of the classes fit.

Source: Cheng, Girshick, Dollár, Berg and Kirillov, "Boundary IoU: Improving Object-Centric Image Segmentation
Evaluation" (CVPR 2021, arXiv 2103.16562), section 5. For a class with reference pixels G and predicted pixels P,

    Boundary IoU = |(G_d ∩ G) ∩ (P_d ∩ P)| / |(G_d ∩ G) ∪ (P_d ∩ P)|

where X_d are the pixels that lie within d pixels of the outline of X, and d is 2 % of the image diagonal. As in the
authors' code, d steps of a 3 x 3 erosion measure the distance, and what lies beyond the border of the image is not
of the class. Intersections and unions are summed over all images before they are divided, as for mIoU.
"""

import math

import torch

from .confusion_matrix import ClassCounts, ClassIds, CountedIds, counted_ids, pair_counts
from .segmentation_scores import mean_over_classes

__all__ = ["BoundaryCounts", "boundary_pixels"]


class BoundaryCounts(ClassCounts):
    """Counts from which the Boundary IoU of each class follows; they add up over images and processes.

    Pixels that the reference ignores are treated as those beyond the border of the image: they belong to no class,
    neither in the reference nor in the prediction.

    Args:
        num_classes: C.
        ignore_index: reference value without a class; `None` for none.
        distance_ratio: d as a share of the image diagonal. The paper has 0.02, and 0.005 for Cityscapes.
        device: where counts are kept.

    Attributes:
        counts: int64 `(3, C)`: pixels in both boundaries, in that of the reference, in that of the prediction.

    Raises:
        ValueError: if `num_classes` is below 1 or `distance_ratio` is not above 0.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int | None = 255,
        distance_ratio: float = 0.02,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(num_classes, 3, ignore_index, device)
        if not distance_ratio > 0:
            raise ValueError(f"distance_ratio must be above 0, got {distance_ratio}")
        self.distance_ratio = distance_ratio

    def update(self, predictions: ClassIds, references: ClassIds) -> None:
        """Count the boundaries of one image.

        Args:
            predictions: class ids `(height, width)`, in 0..C-1.
            references: class ids `(height, width)`, in 0..C-1 or `ignore_index`.

        Raises:
            TypeError: if one of them does not hold integers.
            ValueError: if shapes differ or are not two-dimensional, or a value is not a class.
        """
        self.add(counted_ids(predictions, references, self.num_classes, self.ignore_index, self.counts.device))

    def add(self, ids: CountedIds) -> None:
        """Count the boundaries of one image whose values have been checked.

        Raises:
            ValueError: if the maps are not two-dimensional.
        """
        shape = tuple(ids.references.shape)
        if len(shape) != 2:
            raise ValueError(f"expected two maps of the shape (height, width), got predictions {shape}")
        distance = max(1, round(self.distance_ratio * math.hypot(*shape)))
        predictions = ids.predictions.masked_fill(ids.references == self.num_classes, self.num_classes)
        prediction, reference = (
            _boundary_classes(classes, distance, self.num_classes) for classes in (predictions, ids.references)
        )
        met = pair_counts(prediction, reference, self.num_classes)
        self.counts += torch.stack([met.diagonal(), met.sum(1), met.sum(0)])[:, :-1]

    def per_class(self) -> torch.Tensor:
        """Boundary IoU of each class, float64 `(C,)` in 0..1; NaN for a class without any boundary."""
        both, reference, prediction = self.counts.cpu().double()
        return both / (reference + prediction - both)

    def mean(self, left_out: tuple[int, ...] = ()) -> float:
        """The mean over the classes, in 0..1. `left_out`: ids that the mean skips."""
        return mean_over_classes(self.per_class(), left_out)


def _boundary_classes(ids: torch.Tensor, distance: int, num_classes: int) -> torch.Tensor:
    """The class of each boundary pixel, and C elsewhere; `ids` `(height, width)` in 0..C."""
    return ids.masked_fill(~boundary_pixels(ids, distance), num_classes)


def boundary_pixels(class_map: torch.Tensor, distance: int) -> torch.Tensor:
    """Where a pixel lies within `distance` pixels of another class, or of the border of the image.

    Such a pixel is what `distance` steps of a 3 x 3 erosion would take away from the mask of its class.

    Args:
        class_map: integers `(height, width)`.
        distance: in pixels (chessboard distance), at least 1.

    Returns:
        bool `(height, width)`.
    """
    found = torch.ones_like(class_map, dtype=torch.bool)
    side = 2 * distance
    if min(class_map.shape) <= side:
        return found
    # The others see only their own class in the square of 2 d + 1 pixels around them: it is equal to its neighbour
    # all along each row of the square, and down its middle column.
    in_rows = _all_of(class_map[:, 1:] == class_map[:, :-1], side, dim=1)
    in_columns = _all_of((class_map[1:] == class_map[:-1])[:, distance:-distance], side, dim=0)
    found[distance:-distance, distance:-distance] = ~(_all_of(in_rows, side + 1, dim=0) & in_columns)
    return found


def _all_of(marked: torch.Tensor, length: int, dim: int) -> torch.Tensor:
    """Where `length` marks follow one another along an axis, found by doubling; the axis is `length` - 1 shorter."""
    reach = 1
    while reach < length:
        step = min(reach, length - reach)
        rest = marked.shape[dim] - step
        marked = marked.narrow(dim, 0, rest) & marked.narrow(dim, step, rest)
        reach += step
    return marked
