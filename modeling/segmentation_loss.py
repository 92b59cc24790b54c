"""The loss of a segmentation task, and the checks that turn bad labels into readable errors."""

import torch
from torch.nn import functional


def segmentation_loss(logits: torch.Tensor, labels: torch.Tensor, ignore_index: int, task: str) -> torch.Tensor:
    """Cross-entropy averaged over the pixels that are not ignored, in float32.

    Where every pixel is ignored the loss is 0 and its gradient too; the official code gives NaN there.

    Args:
        logits: `(batch, num_labels, height, width)`.
        labels: `(batch, height, width)`, values in `0..num_labels - 1` or `ignore_index`.
        ignore_index: value left out.
        task: name for the error message.

    Raises:
        ValueError: if a label is out of range.
    """
    check_label_range(labels, logits.shape[1], ignore_index, task)
    total = functional.cross_entropy(logits.float(), labels.long(), ignore_index=ignore_index, reduction="sum")
    return total / (labels != ignore_index).sum().clamp(min=1)


def check_labels(labels: torch.Tensor, pixel_values: torch.Tensor) -> None:
    """Raise a ValueError unless `labels` are integers `(batch, height, width)` of the size of the images."""
    expected = (pixel_values.shape[0], *pixel_values.shape[2:])
    if tuple(labels.shape) != expected:
        raise ValueError(
            f"labels have the shape {tuple(labels.shape)}, the images ask for {expected} (batch, height, width)"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be integers, got {labels.dtype}")


def check_label_range(labels: torch.Tensor, num_labels: int, ignore_index: int, task: str) -> None:
    """Raise a ValueError if a label is neither a class nor `ignore_index`; skipped inside torch.compile."""
    if torch.compiler.is_compiling():
        return
    wrong = (labels != ignore_index) & ((labels < 0) | (labels >= num_labels))
    if wrong.any():
        values = labels[wrong].unique()[:10].tolist()
        raise ValueError(
            f"labels of task {task!r} hold the values {values}, expected 0..{num_labels - 1} "
            f"or the ignore index {ignore_index}"
        )
