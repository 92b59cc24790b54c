"""The first labels of a cube: what an open-vocabulary segmenter says of its picture, or a map of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

__all__ = ["SCALES", "confidence", "fused_scores", "scores_of_labels"]

SCALES = (1, 2)
"""Enlargements at which the picture is looked at."""

Scores = Callable[[np.ndarray], np.ndarray]
"""From a picture float32 `(height, width, 3)`, about 0 to 1, to class probabilities `(classes, height, width)`."""


def fused_scores(picture: np.ndarray, scores: Scores, scales: Sequence[int] = SCALES) -> np.ndarray:
    """Class scores of a picture, the mean over several enlargements (SPECIAL, arXiv 2501.16222, section III-A).

    Args:
        picture: float32 `(height, width, 3)`, 0 to 1.
        scores: of a picture at one scale.
        scales: at least one.

    Returns:
        float32 `(classes, height, width)`.
    """
    height, width = picture.shape[:2]
    total: np.ndarray | None = None
    for scale in scales:
        # Half precision as in the official code: it decides between classes that are nearly as likely.
        seen = scores(spline_resized(picture, (height * scale, width * scale))).astype(np.float16)
        back = np.stack([spline_resized(plane.astype(np.float64), (height, width)) for plane in seen])
        total = back if total is None else total + back
    return (total / len(scales)).astype(np.float32)


def spline_resized(values: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """`(height, width, ...)` at another height and width by an interpolating cubic spline; its corners stay."""
    factors = [wanted / side for wanted, side in zip(size, values.shape[:2], strict=True)]
    if factors == [1.0, 1.0]:
        return values
    return ndimage.zoom(values, [*factors, *[1.0] * (values.ndim - 2)], order=3)


def scores_of_labels(labels: np.ndarray, num_labels: int, certainty: float = 0.9) -> np.ndarray:
    """Scores that say the same as a map of labels.

    Args:
        labels: integers `(height, width)`; what is not 0 to `num_labels - 1` says nothing.
        num_labels: classes, two or more.
        certainty: score of the class of a label; the others share the rest.

    Returns:
        float32 `(classes, height, width)`, 0 in all classes where a pixel has no label.
    """
    known = (labels >= 0) & (labels < num_labels)
    scores = np.full((num_labels, *labels.shape), (1 - certainty) / (num_labels - 1), dtype=np.float32)
    np.put_along_axis(scores, np.where(known, labels, 0)[None].astype(np.int64), np.float32(certainty), axis=0)
    scores[:, ~known] = 0
    return scores


def confidence(scores: np.ndarray) -> np.ndarray:
    """The best score minus the second best ("best versus second best"), `(height, width)` of `(classes, ...)`."""
    best = np.partition(scores, len(scores) - 2, axis=0)
    return best[-1] - best[-2]
