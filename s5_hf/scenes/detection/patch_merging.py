"""From the objects of DOTA patches, named after their places, to those of the whole images."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

from ...imaging.windows import Window
from ...predictors.interfaces import Detections
from .tile_merging import merge_found

__all__ = ["are_patches", "merge_patches"]

_PATCH = re.compile(r"(?P<image>.+)__(?P<size>\d+)__(?P<left>\d+)___(?P<top>\d+)")


def are_patches(names: list[str]) -> bool:
    """Whether all images are patches that `s5-hf prepare s5-dota` or DOTA's own tools cut: P0003__1024__0___824."""
    return bool(names) and all(_PATCH.fullmatch(name) for name in names)


def merge_patches(found: Mapping[str, Detections], iou_threshold: float = 0.5) -> dict[str, Detections]:
    """The objects of whole images, by their names; images that are not patches are returned unchanged.

    Args:
        found: per patch its objects, in pixels of the patch.
        iou_threshold: see `merge_tiles`.
    """
    if not are_patches(list(found)):
        return dict(found)
    patches: dict[str, list[tuple[Window, Detections]]] = defaultdict(list)
    for name, objects in found.items():
        place = _PATCH.fullmatch(name)
        left, top, size = int(place["left"]), int(place["top"]), int(place["size"])
        patches[place["image"]].append((Window(left, top, left + size, top + size), objects))
    return {image: _merge(parts, iou_threshold) for image, parts in patches.items()}


def _merge(parts: list[tuple[Window, Detections]], iou_threshold: float) -> Detections:
    windows = [window for window, _ in parts]
    # The last patch ends where the image does, or beyond it, where the image is smaller than a patch.
    size = max(window.bottom for window in windows), max(window.right for window in windows)
    return merge_found({index: objects for index, (_, objects) in enumerate(parts)}, windows, size, iou_threshold)
