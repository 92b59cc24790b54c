"""Do a detector's boxes of an image agree with those of the same image, turned? What agrees becomes a pseudo-box.

The turned view is the transposed image, a quarter turn and a reflection in one: padding to the right and below stays
there, and angles change.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..modeling.oriented_boxes import canonical_boxes
from ..modeling.rotated_iou import rotated_iou

Found = Mapping[str, torch.Tensor]
"""Objects as a detector finds them: `scores` `(n,)`, `labels` `(n,)` and `boxes` `(n, 5)`."""


@dataclass(frozen=True)
class PseudoBoxes:
    """What two views of an image say of it.

    Attributes:
        boxes: `(n, 5)`, found in both views.
        labels: int64 `(n,)`, class ids.
        scores: `(n,)`, means of the two views, 0 to 1.
        agreement: `(n,)`, rotated IoU of the two boxes, 0 to 1.
        uncertain: `(k, 5)`, boxes of either view that are no such objects: nobody knows what is there.
    """

    boxes: torch.Tensor
    labels: torch.Tensor
    scores: torch.Tensor
    agreement: torch.Tensor
    uncertain: torch.Tensor

    def targets(self) -> dict[str, torch.Tensor]:
        """The labels of the image for the detector: every box counts by its score times its agreement."""
        return {
            "boxes": self.boxes,
            "class_labels": self.labels,
            "weights": self.scores * self.agreement,
            "uncertain_boxes": self.uncertain,
        }


def turned_images(images: torch.Tensor) -> torch.Tensor:
    """Images `(batch, channels, height, width)` transposed: `(batch, channels, width, height)`."""
    return images.transpose(2, 3)


def turned_boxes(boxes: torch.Tensor) -> torch.Tensor:
    """Boxes `(n, 5)` in the transposed image, canonical; turned twice they are what they were."""
    x, y, width, height, theta = boxes.unbind(dim=1)
    return canonical_boxes(torch.stack([y, x, width, height, math.pi / 2 - theta], dim=1))


def agreeing_boxes(
    found: Found, found_turned: Found, confidence_threshold: float, agreement_threshold: float
) -> PseudoBoxes:
    """Pseudo-boxes of an image from the objects of its two views.

    An object is a pair of boxes of one class, the one of each view, whose rotated IoU is `agreement_threshold` or more
    and whose mean score is `confidence_threshold` or more. The box with the better score is taken.

    Args:
        found: in the image, after non-maximum suppression within each class.
        found_turned: in the transposed image, in its pixels, likewise.
        confidence_threshold, agreement_threshold: 0 to 1.
    """
    boxes, others = found["boxes"], turned_boxes(found_turned["boxes"])
    if not len(boxes) or not len(others):
        none = found["scores"][:0]
        return PseudoBoxes(boxes[:0], found["labels"][:0], none, none, torch.cat([boxes, others]))
    overlaps = rotated_iou(boxes, others) * (found["labels"][:, None] == found_turned["labels"])
    agreement, partner = overlaps.max(dim=1)
    scores = (found["scores"] + found_turned["scores"][partner]) / 2
    admitted = (agreement >= agreement_threshold) & (agreement > 0) & (scores >= confidence_threshold)
    better = found["scores"] >= found_turned["scores"][partner]
    chosen = torch.where(better[:, None], boxes, others[partner])
    alone = torch.ones(len(others), dtype=torch.bool, device=others.device)
    alone[partner[admitted]] = False
    return PseudoBoxes(
        chosen[admitted],
        found["labels"][admitted],
        scores[admitted],
        agreement[admitted],
        torch.cat([boxes[~admitted], others[alone]]),
    )
