"""Scores of changes: of one class, and of SECOND, where every changed pixel has a class at both dates.

`counts` is always `(C, C)` with references in rows and predictions in columns, as a `ConfusionMatrix` has them, and
class 0 is "unchanged". Add the maps of both dates to one matrix.
"""

import math

import torch

from .segmentation_scores import f1_score, intersection_over_union

__all__ = ["change_f1", "change_iou", "class_change", "semantic_change_scores"]

UNCHANGED = 0


def class_change(before: torch.Tensor, after: torch.Tensor, class_id: int) -> torch.Tensor:
    """Where a class came or went, bool of the shape of the labels.

    Args:
        before, after: class ids of both dates, of one shape; 0 where nothing changed.
        class_id: at least 1.

    Raises:
        ValueError: the labels differ in shape, or the class is that of unchanged pixels.
    """
    if before.shape != after.shape:
        raise ValueError(f"labels of {tuple(before.shape)} and {tuple(after.shape)} pixels")
    if class_id <= UNCHANGED:
        raise ValueError(f"class {class_id} is no change; expected 1 or more")
    return (before == class_id) | (after == class_id)


def change_iou(counts: torch.Tensor) -> float:
    """Intersection over union of changed pixels, whatever their class, 0..1; NaN without any."""
    return intersection_over_union(_changed_or_not(counts))[1].item()


def change_f1(counts: torch.Tensor) -> float:
    """F1 score of changed pixels, whatever their class, 0..1; NaN without any."""
    return f1_score(_changed_or_not(counts))[1].item()


def semantic_change_scores(counts: torch.Tensor) -> dict[str, float]:
    """The scores of SECOND, each 0..1 but `sek`, which may be negative; NaN where a denominator is 0.

    Source: `miou`, `sek` and `score` of Yang et al., Asymmetric Siamese Networks for Semantic Change Detection
    (arXiv 2010.05687), section V; `fscd` of Ding et al., Bi-Temporal Semantic Reasoning (arXiv 2108.06103).

    Returns:
        `miou`: mean IoU of unchanged and changed pixels; `sek`: kappa without the unchanged pixels that were found,
        times exp(IoU of changed pixels - 1); `score`: 0.3 miou + 0.7 sek; `fscd`: F1 of the classes of changed pixels.
    """
    binary = intersection_over_union(_changed_or_not(counts))
    miou = binary.mean().item()
    sek = _separated_kappa(counts) * math.exp(binary[1].item() - 1)
    return {"miou": miou, "sek": sek, "score": 0.3 * miou + 0.7 * sek, "fscd": _class_f1(counts)}


def _changed_or_not(counts: torch.Tensor) -> torch.Tensor:
    """The matrix of two classes: unchanged and changed."""
    unchanged, total = counts[0, 0], counts.sum()
    missed, invented = counts[1:, 0].sum(), counts[0, 1:].sum()
    return torch.stack([unchanged, invented, missed, total - unchanged - missed - invented]).reshape(2, 2)


def _separated_kappa(counts: torch.Tensor) -> float:
    """Cohen's kappa after the unchanged pixels that were found are taken out: they are most of a map."""
    counts = counts.cpu().double().clone()
    counts[UNCHANGED, UNCHANGED] = 0
    total = counts.sum()
    agreed = counts.diagonal().sum() / total
    expected = (counts.sum(0) * counts.sum(1)).sum() / total**2
    return ((agreed - expected) / (1 - expected)).item()


def _class_f1(counts: torch.Tensor) -> float:
    """F1 of changed pixels that got their class."""
    counts = counts.cpu().double()
    hits = counts.diagonal()[1:].sum()
    precision, recall = hits / counts[:, 1:].sum(), hits / counts[1:].sum()
    return (2 * precision * recall / (precision + recall)).item()
