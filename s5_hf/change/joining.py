"""Masks of two dates put together: what both dates show once, and objects that only one of them shows.

Source: DynamicEarth (arXiv 2501.12931) and its official code.
"""

from __future__ import annotations

import numpy as np

from .masks import Masks

__all__ = ["join_dates", "without_counterpart"]


def join_dates(
    before: Masks, after: Masks, iou_threshold: float = 0.7, largest_share: float = 0.8
) -> tuple[Masks, int]:
    """Masks of both dates without those that have a better one of nearly the same box, in the order they came.

    Args:
        before, after: masks of both dates.
        iou_threshold: of boxes.
        largest_share: masks that cover this share of the image or more are dropped first.

    Returns:
        The masks, and how many of them, the first ones, are of the first date.
    """
    pixels = before.height * before.width
    before, after = (masks.select(masks.areas / pixels < largest_share) for masks in (before, after))
    masks = Masks.joined([before, after])
    kept = np.sort(masks.nms(iou_threshold))
    return masks.select(kept), int((kept < len(before)).sum())


def without_counterpart(before: Masks, after: Masks, largest_overlap: float = 0.01) -> tuple[Masks, int]:
    """Objects of one date that overlap with none of the other; where a date has none, all of the other.

    Args:
        before, after: objects of both dates.
        largest_overlap: the most that the intersections over union with all objects of the other date may add up to.

    Returns:
        The masks, and how many of them, the first ones, are of the first date.
    """
    overlaps = before.overlaps(after)
    alone_before = before.select(overlaps.sum(axis=1) <= largest_overlap)
    alone_after = after.select(overlaps.sum(axis=0) <= largest_overlap)
    return Masks.joined([alone_before, alone_after]), len(alone_before)
