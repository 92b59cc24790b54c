"""Scenes and class maps reduced by a whole factor, read in bands of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .class_maps import ClassMap
from .scene_source import SceneSource

__all__ = ["NO_CLASS", "reduce_class_map", "reduce_scene", "reduction_factor"]

NO_CLASS = -1
"""Where a reduced class map holds no data."""

_BAND_PIXELS = 2**23


def reduction_factor(width: int, height: int, max_size: int) -> int:
    """The smallest whole factor by which the longer side comes down to `max_size` pixels."""
    return -(-max(width, height) // max_size)


def reduce_scene(scene: SceneSource, factor: int) -> np.ndarray:
    """The mean of every `factor` x `factor` pixels, uint8 `(height, width, 3)`, sides rounded up."""
    parts = []
    for top, bottom in _bands(scene.width, scene.height, factor):
        pixels, _ = scene.read_rows(top, bottom)
        blocks = _blocks(np.moveaxis(pixels, 0, -1), factor)
        parts.append(np.rint(blocks.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8))
    return np.concatenate(parts)


def reduce_class_map(class_map: ClassMap, factor: int) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """The commonest class of every `factor` x `factor` pixels, and how often each class occurs.

    Returns:
        ids: int32 `(height, width)`, sides rounded up; `NO_CLASS` where there is no data.
        pixels: class id to its number of pixels in every row of the whole map, int64 `(height,)`.
    """
    parts = []
    counts: dict[int, np.ndarray] = {}
    for top, bottom in _bands(class_map.width, class_map.height, factor):
        ids = class_map.read_rows(top, bottom)
        present = np.unique(ids)
        for class_id in present[present != class_map.nodata].tolist():
            per_row = counts.setdefault(class_id, np.zeros(class_map.height, dtype=np.int64))
            per_row[top:bottom] = np.count_nonzero(ids == class_id, axis=1)
        commonest = present[_commonest(ids, present, factor)] if factor > 1 else ids
        parts.append(np.where(commonest == class_map.nodata, NO_CLASS, commonest))
    return np.concatenate(parts).astype(np.int32), dict(sorted(counts.items()))


def _commonest(ids: np.ndarray, present: np.ndarray, factor: int) -> np.ndarray:
    """Per block, the index into `present` of its commonest id; the smaller one of two that tie."""
    blocks = _blocks(ids, factor)
    best = np.zeros((blocks.shape[0], blocks.shape[2]), dtype=np.intp)
    most = np.zeros(best.shape, dtype=np.int64)
    for index, class_id in enumerate(present):
        count = np.count_nonzero(blocks == class_id, axis=(1, 3))
        better = count > most
        best[better], most[better] = index, count[better]
    return best


def _bands(width: int, height: int, factor: int) -> Iterator[tuple[int, int]]:
    rows = max(1, _BAND_PIXELS // (width * factor)) * factor
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def _blocks(pixels: np.ndarray, factor: int) -> np.ndarray:
    """`(height, width, ...)` as `(rows, factor, columns, factor, ...)`; the last row and column are repeated."""
    missing = [(0, -size % factor) for size in pixels.shape[:2]]
    padded = np.pad(pixels, [*missing, *[(0, 0)] * (pixels.ndim - 2)], mode="edge")
    rows, columns = padded.shape[0] // factor, padded.shape[1] // factor
    return padded.reshape(rows, factor, columns, factor, *pixels.shape[2:])
