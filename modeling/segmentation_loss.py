"""The masked cross-entropy of segmentation, and the checks that turn bad labels into readable errors."""

from collections.abc import Mapping

import torch

from .deterministic_operations import pixel_errors


def masked_cross_entropy(
    logits: torch.Tensor,
    labels: torch.Tensor,
    ignore_index: int = 255,
    class_weights: torch.Tensor | None = None,
    count: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cross-entropy averaged over the pixels that are not ignored, in float32.

    Where every pixel is ignored the loss is 0 and its gradient too; the official code gives NaN there.

    Args:
        logits: `(batch, num_labels, height, width)`, of any floating-point type.
        labels: integers `(batch, height, width)`, values in `0..num_labels - 1` or `ignore_index`.
        ignore_index: value left out.
        class_weights: float `(num_labels,)`; None for equal ones.
        count: scalar by which the sum over the pixels is divided; by default `labelled_pixels` of these labels.
            Distributed training gives its mean over the processes, so that every labelled pixel counts alike.

    Returns:
        A scalar.
    """
    if class_weights is not None:
        class_weights = class_weights.to(logits.device)
    total = pixel_errors(logits.float(), labels.long(), ignore_index, class_weights, reduction="sum")
    if count is None:
        count = labelled_pixels(labels, ignore_index, class_weights)
    return total / count.clamp(min=1e-6)  # a mean over processes, or a sum of weights, may lie below 1


def labelled_pixels(
    labels: torch.Tensor, ignore_index: int = 255, class_weights: torch.Tensor | None = None
) -> torch.Tensor:
    """The number of pixels that are not ignored, a scalar; with `class_weights` `(num_labels,)` the sum of theirs."""
    valid = labels != ignore_index
    if class_weights is None:
        return valid.sum()
    return (class_weights.to(labels.device)[labels.where(valid, 0)] * valid).sum()


def check_labels(labels: torch.Tensor, pixel_values: torch.Tensor) -> None:
    """Raise a ValueError unless `labels` are integers `(batch, height, width)` of the size of the images."""
    expected = (pixel_values.shape[0], *pixel_values.shape[-2:])
    if tuple(labels.shape) != expected:
        raise ValueError(
            f"labels have the shape {tuple(labels.shape)}, the images ask for {expected} (batch, height, width)"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be integers, got {labels.dtype}")


def check_label_ranges(labels: Mapping[str, tuple[torch.Tensor, int, int]]) -> None:
    """Raise a ValueError if a label is neither a class nor the ignore index; skipped inside torch.compile.

    Args:
        labels: by task, its labels, number of classes and ignore index. The device is asked once for all of them.
    """
    if torch.compiler.is_compiling() or not labels:
        return
    wrong = {
        task: (values != ignored) & ((values < 0) | (values >= count))
        for task, (values, count, ignored) in labels.items()
    }
    if not torch.stack([places.any() for places in wrong.values()]).any():
        return
    for task, (values, count, ignored) in labels.items():
        found = values[wrong[task]].unique()[:10].tolist()
        if found:
            raise ValueError(
                f"labels of task {task!r} hold the values {found}, expected 0..{count - 1} "
                f"or the ignore index {ignored}"
            )
