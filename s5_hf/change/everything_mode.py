"""The everything mode of SAM: a grid of points, what the network cuts out at each, and the best of that.

Source: Segment Anything (arXiv 2304.02643, section 7.2) and its official code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from .masks import Masks
from .packed_masks import PackedMasks

__all__ = ["EverythingSettings", "PromptPoints", "everything", "point_grid", "stability_scores"]

PromptPoints = Callable[[np.ndarray], tuple[torch.Tensor, torch.Tensor]]
"""Cuts out what lies at points, float64 `(points, 2)`, x and y in pixels: logits `(points, candidates, height, width)`
at the size of the image, and the network's own guess of their quality `(points, candidates)`."""

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class EverythingSettings:
    """How masks are found.

    Attributes:
        points_per_side: of the grid.
        points_per_batch: prompted at a time, which bounds the memory.
        quality: a mask whose guessed quality is not above this is dropped.
        stability: a mask less stable than this is dropped; see `stability_scores`.
        stability_offset: of the two levels that are compared.
        mask_threshold: of the logits.
        iou_threshold: of two masks whose boxes overlap more, the worse one is dropped.
        minimum_region: pixels; smaller holes are filled and smaller islands dropped. 0 leaves all as they are.
    """

    points_per_side: int = 32
    points_per_batch: int = 16
    quality: float = 0.5
    stability: float = 0.95
    stability_offset: float = 0.9
    mask_threshold: float = 0.0
    iou_threshold: float = 0.7
    minimum_region: int = 0

    def __post_init__(self) -> None:
        for name in ("points_per_side", "points_per_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.minimum_region < 0:
            raise ValueError(f"minimum_region must not be negative, got {self.minimum_region}")


def point_grid(points_per_side: int, height: int, width: int) -> np.ndarray:
    """Points in the middle of the cells of a grid, x fastest, float64 `(points, 2)`: x and y in pixels."""
    centers = (np.arange(points_per_side) + 0.5) / points_per_side
    columns, rows = np.meshgrid(centers * width, centers * height)
    return np.stack([columns.ravel(), rows.ravel()], axis=1)


def stability_scores(logits: torch.Tensor, threshold: float, offset: float) -> torch.Tensor:
    """How little masks `(..., height, width)` depend on the threshold.

    Returns:
        Pixels above `threshold + offset` over pixels above `threshold - offset`, float32 `(...)`; NaN where there are
        none, which is no stable mask.
    """
    high = (logits > threshold + offset).flatten(-2).sum(dim=-1)
    low = (logits > threshold - offset).flatten(-2).sum(dim=-1)
    return high / low


def everything(prompt: PromptPoints, height: int, width: int, settings: EverythingSettings | None = None) -> Masks:
    """The masks of an image, best first.

    No more than the logits of one batch of points is in memory at a time. Candidates are kept as the bits of their
    boxes, and only those that survive become masks.

    Args:
        prompt: the network.
        height, width: of the image in pixels.
        settings: how; the defaults are those of DynamicEarth with SAM.

    Raises:
        ValueError: the network gives logits of another size.
    """
    settings = settings or EverythingSettings()
    candidates = PackedMasks.joined(height, width, _candidates(prompt, height, width, settings))
    masks = candidates.survivors(settings.iou_threshold)
    if settings.minimum_region:
        masks = _without_small_regions(masks, settings)
    return masks


def _candidates(prompt: PromptPoints, height: int, width: int, settings: EverythingSettings) -> Iterator[Masks]:
    """The good and stable masks of each batch of points."""
    points = point_grid(settings.points_per_side, height, width)
    for start in range(0, len(points), settings.points_per_batch):
        yield _of_batch(prompt, points[start : start + settings.points_per_batch], height, width, settings)


def _of_batch(
    prompt: PromptPoints, points: np.ndarray, height: int, width: int, settings: EverythingSettings
) -> Masks:
    """The same of one batch, whose logits nobody keeps."""
    logits, quality = prompt(points)
    if tuple(logits.shape[-2:]) != (height, width):
        raise ValueError(f"expected mask logits of {height} x {width} pixels, got {tuple(logits.shape)}")
    return _fit(logits.flatten(0, 1), quality.flatten(), settings)


def _fit(logits: torch.Tensor, quality: torch.Tensor, settings: EverythingSettings) -> Masks:
    """The masks of logits `(candidates, height, width)` that are good and stable enough."""
    logits, quality = logits[quality > settings.quality], quality[quality > settings.quality]
    stable = stability_scores(logits, settings.mask_threshold, settings.stability_offset) >= settings.stability
    planes = logits[stable] > settings.mask_threshold
    return Masks.from_planes(planes.cpu().numpy(), quality[stable].cpu().float().numpy())


def _without_small_regions(masks: Masks, settings: EverythingSettings) -> Masks:
    """Masks without small holes and islands; where two are alike then, one that did not change is preferred."""

    def clean(plane: np.ndarray) -> np.ndarray:
        return without_islands(without_holes(plane, settings.minimum_region), settings.minimum_region)

    cleaned = masks.changed(clean)
    same = [
        np.array_equal(old_box, new_box) and np.array_equal(old, new)
        for old_box, new_box, old, new in zip(masks.boxes, cleaned.boxes, masks.crops, cleaned.crops, strict=True)
    ]
    preferred = Masks(masks.height, masks.width, cleaned.boxes, cleaned.crops, np.array(same, dtype=np.float32))
    return cleaned.select(preferred.nms(settings.iou_threshold))


def without_holes(plane: np.ndarray, smallest: int) -> np.ndarray:
    """A mask, bool `(height, width)`, with the holes filled that have fewer than `smallest` pixels (8-connected)."""
    regions, count = ndimage.label(~plane, _EIGHT_NEIGHBOURS)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    small = sizes < smallest
    small[0] = True  # region 0 is the mask itself
    return small[regions]


def without_islands(plane: np.ndarray, smallest: int) -> np.ndarray:
    """A mask without the islands of fewer than `smallest` pixels (8-connected); the largest stays if all are small."""
    regions, count = ndimage.label(plane, _EIGHT_NEIGHBOURS)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    large = sizes >= smallest
    large[0] = False
    if count and not large.any():
        large[1 + sizes[1:].argmax()] = True
    return large[regions]
