"""From what the detector says of every proposal to the objects it found.

Source: test settings of the official release (arXiv 2108.05699, section 4): scores above 0.05, non-maximum suppression
per class at a rotated IoU of 0.1, at most 2000 objects per image.
"""

import torch

from .non_maximum_suppression import batched_rotated_nms
from .oriented_boxes import minimum_area_rectangles, oriented_boxes_to_corners


def find_objects(
    logits: torch.Tensor,
    boxes: torch.Tensor,
    threshold: float,
    iou_threshold: float,
    max_detections: int,
    scale: tuple[float, float] = (1.0, 1.0),
) -> dict[str, torch.Tensor]:
    """The objects of one image, best first.

    Every class of a proposal whose score is above the threshold is a candidate; among candidates of a class, worse
    ones that overlap a better one by more than `iou_threshold` are suppressed.

    Args:
        logits: `(n, classes + 1)`, background last.
        boxes: `(n, 5)`, the same for every class.
        threshold: lowest score, exclusive.
        iou_threshold: rotated IoU.
        max_detections: the best that are kept.
        scale: factors `(vertical, horizontal)` from the pixels of `boxes` to those of the result.

    Returns:
        `scores` float32 `(k,)`, `labels` int64 `(k,)` and `boxes` float32 `(k, 5)`.
    """
    scores = logits.detach().float().softmax(dim=1)[:, :-1]
    boxes = scale_boxes(boxes.detach().float(), scale)
    rows, labels = (scores > threshold).nonzero(as_tuple=True)
    scores, boxes = scores[rows, labels], boxes[rows]
    kept = batched_rotated_nms(boxes, scores, labels, iou_threshold)[:max_detections]
    return {"scores": scores[kept], "labels": labels[kept], "boxes": boxes[kept]}


def scale_boxes(boxes: torch.Tensor, scale: tuple[float, float]) -> torch.Tensor:
    """Boxes `(n, 5)` in an image resized by the factors `(vertical, horizontal)`.

    Under unequal factors a rectangle becomes a parallelogram; the smallest rectangle around it is taken. (The release
    leaves the angle as it is, which fits equal factors only.)
    """
    vertical, horizontal = scale
    if vertical == horizontal:
        return boxes * boxes.new_tensor([horizontal, vertical, horizontal, vertical, 1])
    return minimum_area_rectangles(oriented_boxes_to_corners(boxes) * boxes.new_tensor([horizontal, vertical]))
