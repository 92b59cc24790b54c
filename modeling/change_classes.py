"""Classes of changes: unchanged or changed, or from which class to which."""

from collections.abc import Sequence

import torch
from torch.nn import functional

UNCHANGED = 0
"""Class id of what did not change."""

CHANGE_LABELS = ("unchanged", "changed")
"""Where nothing says from what to what."""

MOST_DATE_CLASSES = 15
"""With more classes per date the changes between them would not fit into 8 bits, of which 255 is taken."""


def from_to_labels(date_classes: Sequence[str]) -> list[str]:
    """Names of the classes of changes between the classes of two dates: `unchanged`, then `A to B` for every pair.

    The change from class `i` to class `j` has the id `1 + i * len(date_classes) + j`; a class may be followed by
    itself, such as a building by another one.

    Raises:
        ValueError: for fewer than two classes, or more than 15.
    """
    if not 2 <= len(date_classes) <= MOST_DATE_CLASSES:
        raise ValueError(
            f"changes are between 2 to {MOST_DATE_CLASSES} classes, got {len(date_classes)}: {', '.join(date_classes)}"
        )
    return [CHANGE_LABELS[0], *(f"{before} to {after}" for before in date_classes for after in date_classes)]


def from_to_logits(change: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Logits of the classes of `from_to_labels` from those of three questions: changed, from what, to what.

    They are log probabilities: of unchanged, and of changed times the class before times the class after. Their
    cross-entropy is the sum of that of the change and, where something changed, those of both classes.

    Args:
        change: logits `(batch, 2, height, width)`: unchanged, changed.
        before, after: logits `(batch, classes, height, width)` of each date.

    Returns:
        `(batch, 1 + classes * classes, height, width)`, float32.
    """
    change, before, after = (functional.log_softmax(logits.float(), dim=1) for logits in (change, before, after))
    pairs = (before[:, :, None] + after[:, None]).flatten(1, 2)
    return torch.cat([change[:, :1], change[:, 1:] + pairs], dim=1)


def from_to_ids(before: torch.Tensor, after: torch.Tensor, num_classes: int, ignore_index: int = 255) -> torch.Tensor:
    """Ids of `from_to_labels` from the classes of both dates, as SECOND labels them.

    Args:
        before, after: integers of one shape: 0 where nothing changed, 1..num_classes for the class, or `ignore_index`.
        num_classes: of each date.
        ignore_index: value left out.

    Returns:
        The ids, of the same type; `ignore_index` where either date is ignored or only one of them names a class.
    """
    either = (before != UNCHANGED) | (after != UNCHANGED)
    both = (before != UNCHANGED) & (after != UNCHANGED)
    ignored = (before == ignore_index) | (after == ignore_index) | (either & ~both)
    pairs = 1 + (before - 1) * num_classes + (after - 1)
    return torch.where(ignored, ignore_index, torch.where(both, pairs, UNCHANGED))


def date_ids(ids: torch.Tensor, num_classes: int, ignore_index: int = 255) -> tuple[torch.Tensor, torch.Tensor]:
    """The classes of both dates from ids of `from_to_labels`: 0 where nothing changed, else 1..num_classes.

    The inverse of `from_to_ids`; what is ignored is so at both dates.
    """
    pairs = (ids - 1).clamp(min=0)
    known = (ids != UNCHANGED) & (ids != ignore_index)
    dates = (
        torch.div(pairs, num_classes, rounding_mode="floor") + 1,
        pairs % num_classes + 1,
    )
    return tuple(torch.where(known, classes, torch.where(ids == ignore_index, ids, UNCHANGED)) for classes in dates)


__all__ = ["CHANGE_LABELS", "UNCHANGED", "date_ids", "from_to_ids", "from_to_labels", "from_to_logits"]
