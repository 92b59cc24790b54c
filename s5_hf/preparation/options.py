"""Checks of what a user may set, before any work begins."""

from collections.abc import Sequence

__all__ = ["check_overlap", "check_splits"]


def check_overlap(dataset: str, overlap: int, size: int) -> None:
    """Raise ValueError unless `overlap` is in `0 .. size - 1`, in pixels."""
    if not 0 <= overlap < size:
        raise ValueError(f"{dataset}: the overlap must be between 0 and {size - 1} px, got {overlap}.")


def check_splits(dataset: str, option: str, splits: Sequence[str], known: Sequence[str]) -> None:
    """Raise ValueError if `splits` names one that is not in `known`."""
    if unknown := sorted(set(splits) - set(known)):
        raise ValueError(f"{dataset}: {option} names the split {unknown[0]!r}; known: {', '.join(known)}.")
