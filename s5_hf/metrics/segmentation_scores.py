"""Scores of a segmentation as pure functions of its confusion matrix.

`counts` is always `(C, C)` with references in rows and predictions in columns. A score per class is float64 `(C,)`
in 0..1 in main memory (not every device knows float64), and NaN where the class gives no answer (0 / 0); means leave
such classes out.
"""

from collections.abc import Iterable, Sequence

import torch

__all__ = [
    "class_accuracy",
    "class_precision",
    "class_table",
    "f1_score",
    "intersection_over_union",
    "mean_over_classes",
    "overall_accuracy",
    "summary",
]


def intersection_over_union(counts: torch.Tensor) -> torch.Tensor:
    """TP / (TP + FP + FN); NaN for a class that neither occurs nor is predicted."""
    counts = counts.cpu().double()
    hits = counts.diagonal()
    return hits / (counts.sum(0) + counts.sum(1) - hits)


def f1_score(counts: torch.Tensor) -> torch.Tensor:
    """2 TP / (2 TP + FP + FN); NaN for a class that neither occurs nor is predicted."""
    counts = counts.cpu().double()
    return 2 * counts.diagonal() / (counts.sum(0) + counts.sum(1))


def class_accuracy(counts: torch.Tensor) -> torch.Tensor:
    """Recall, TP / (TP + FN); NaN for a class that does not occur."""
    counts = counts.cpu().double()
    return counts.diagonal() / counts.sum(1)


def class_precision(counts: torch.Tensor) -> torch.Tensor:
    """TP / (TP + FP); NaN for a class that is never predicted."""
    counts = counts.cpu().double()
    return counts.diagonal() / counts.sum(0)


def overall_accuracy(counts: torch.Tensor) -> float:
    """Share of all counted pixels that are right, those of left-out classes included; NaN without pixels."""
    counts = counts.cpu().double()
    return (counts.diagonal().sum() / counts.sum()).item()


def mean_over_classes(values: torch.Tensor, left_out: Iterable[int] = ()) -> float:
    """The mean of a score over the classes where it is defined.

    Args:
        values: one score per class.
        left_out: ids that do not enter the mean, such as iSAID's background. Their pixels were counted all the same:
            a background pixel that was called a ship lowers the ship's score.

    Raises:
        ValueError: if `left_out` names no class, or every class.
    """
    skipped = set(left_out)
    wrong = sorted(index for index in skipped if not 0 <= index < len(values))
    if wrong:
        raise ValueError(f"left_out holds the ids {wrong}, expected 0..{len(values) - 1}")
    if len(skipped) == len(values):
        raise ValueError("left_out leaves no class for the mean")
    kept = [index for index in range(len(values)) if index not in skipped]
    return values[kept].nanmean().item()


def summary(counts: torch.Tensor, left_out: Iterable[int] = ()) -> dict[str, float]:
    """`mIoU`, `mF1`, `mAcc` and `OA`, in 0..1."""
    left_out = tuple(left_out)
    return {
        "mIoU": mean_over_classes(intersection_over_union(counts), left_out),
        "mF1": mean_over_classes(f1_score(counts), left_out),
        "mAcc": mean_over_classes(class_accuracy(counts), left_out),
        "OA": overall_accuracy(counts),
    }


def class_table(counts: torch.Tensor, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Per class: `IoU`, `F1`, `precision`, `recall` in 0..1, and `share`, its part of the counted reference pixels.

    Raises:
        ValueError: if there is not one label per class.
    """
    if len(labels) != len(counts):
        raise ValueError(f"{len(labels)} labels for {len(counts)} classes: {', '.join(labels)}")
    columns = {
        "IoU": intersection_over_union(counts),
        "F1": f1_score(counts),
        "precision": class_precision(counts),
        "recall": class_accuracy(counts),
        "share": counts.cpu().sum(1).double() / counts.cpu().sum(),
    }
    return {
        label: {name: values[index].item() for name, values in columns.items()} for index, label in enumerate(labels)
    }
