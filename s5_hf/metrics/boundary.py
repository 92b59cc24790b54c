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
from torch.nn import functional

from .confusion_matrix import ClassCounts, ClassIds, as_class_ids
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
        predicted = as_class_ids(predictions, "predictions", self.counts.device)
        labels = as_class_ids(references, "references", self.counts.device)
        if predicted.ndim != 2 or predicted.shape != labels.shape:
            raise ValueError(
                f"expected two maps of the same shape (height, width), got predictions {tuple(predicted.shape)} "
                f"and references {tuple(labels.shape)}"
            )
        ignored = torch.zeros_like(labels, dtype=torch.bool)
        if self.ignore_index is not None:
            ignored = labels == self.ignore_index
        predicted, labels = predicted.masked_fill(ignored, -1), labels.masked_fill(ignored, -1)
        distance = max(1, round(self.distance_ratio * math.hypot(*labels.shape)))
        at_reference = boundary_pixels(labels, distance) & ~ignored
        at_prediction = boundary_pixels(predicted, distance) & ~ignored
        in_both = at_reference & at_prediction & (labels == predicted)
        for row, chosen in enumerate((labels[in_both], labels[at_reference], predicted[at_prediction])):
            if chosen.numel() and (chosen.min() < 0 or chosen.max() >= self.num_classes):
                raise ValueError(f"found the class id {chosen.max()}, expected 0..{self.num_classes - 1}")
            self.counts[row] += torch.bincount(chosen, minlength=self.num_classes)

    def per_class(self) -> torch.Tensor:
        """Boundary IoU of each class, float64 `(C,)` in 0..1; NaN for a class without any boundary."""
        both, reference, prediction = self.counts.cpu().double()
        return both / (reference + prediction - both)

    def mean(self, left_out: tuple[int, ...] = ()) -> float:
        """The mean over the classes, in 0..1. `left_out`: ids that the mean skips."""
        return mean_over_classes(self.per_class(), left_out)


def boundary_pixels(class_map: torch.Tensor, distance: int) -> torch.Tensor:
    """Where a pixel lies within `distance` pixels of another class, or of the border of the image.

    Such a pixel is what `distance` steps of a 3 x 3 erosion would take away from the mask of its class.

    Args:
        class_map: integers `(height, width)`.
        distance: in pixels (chessboard distance), at least 1.

    Returns:
        bool `(height, width)`.
    """
    beyond = class_map.min() - 1
    padded = functional.pad(class_map[None, None].float(), (1, 1, 1, 1), value=float(beyond))
    highest = functional.max_pool2d(padded, 3, stride=1)
    lowest = -functional.max_pool2d(-padded, 3, stride=1)
    # Within d of another class = within d - 1 of a pixel that touches another class.
    touching = (highest != lowest)[0, 0]
    return _spread(_spread(touching, distance - 1, dim=0), distance - 1, dim=1)


def _spread(marked: torch.Tensor, reach: int, dim: int) -> torch.Tensor:
    """Mark what lies within `reach` of a marked pixel along an axis; running sums make it independent of the reach."""
    length = marked.shape[dim]
    sums = marked.cumsum(dim, dtype=torch.int32)
    sums = torch.cat([torch.zeros_like(sums.narrow(dim, 0, 1)), sums], dim)
    places = torch.arange(length, device=marked.device)
    upper = sums.index_select(dim, (places + reach + 1).clamp(max=length))
    return upper > sums.index_select(dim, (places - reach).clamp(min=0))
