"""From counts of changes between classes to counts of the classes of each date."""

import torch

from ..modeling.change_classes import date_ids

__all__ = ["date_counts"]


def date_counts(counts: torch.Tensor, num_classes: int) -> torch.Tensor:
    """The counts of both dates together, as the scores of SECOND take them.

    Args:
        counts: `(C, C)`, references in rows and predictions in columns, of the ids of `from_to_labels`:
            C = 1 + num_classes * num_classes.
        num_classes: of each date.

    Returns:
        `(1 + num_classes, 1 + num_classes)`, of the type of `counts`: class 0 is unchanged; every pixel counts at
        each date.

    Raises:
        ValueError: if there are counts of another number of classes.
    """
    expected = 1 + num_classes * num_classes
    if tuple(counts.shape) != (expected, expected):
        raise ValueError(f"{num_classes} classes have {expected} changes, got counts of {tuple(counts.shape)}")
    total = torch.zeros(1 + num_classes, 1 + num_classes, dtype=counts.dtype, device=counts.device)
    for ids in date_ids(torch.arange(expected, device=counts.device), num_classes):
        total.index_put_((ids[:, None].expand_as(counts), ids.expand_as(counts)), counts, accumulate=True)
    return total
