"""Scenes and class maps reduced by a whole factor, read in bands of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image
from tqdm import tqdm

from .class_maps import ClassMap
from .source import SceneSource

__all__ = ["MAX_OVERLAY_SIDE", "NO_CLASS", "reduce_class_map", "reduce_scene", "reduction_factor"]

MAX_OVERLAY_SIDE = 2048
"""Pixels of the longer side of an overlay, without its legend."""

NO_CLASS = -1
"""Where a reduced class map holds no data."""

_BAND_PIXELS = 2**23


def reduction_factor(width: int, height: int, max_size: int) -> int:
    """The smallest whole factor by which the longer side comes down to `max_size` pixels."""
    return -(-max(width, height) // max_size)


def reduce_scene(scene: SceneSource, factor: int) -> np.ndarray:
    """The mean of every `factor` x `factor` pixels, uint8 `(height, width, 3)`, sides rounded up.

    With more or fewer than three channels, the first three, or the first, are taken.
    """
    parts = []
    for top, bottom in _bands(scene.width, scene.height, factor, "the scene"):
        pixels, _ = scene.read_rows(top, bottom)
        colors = pixels[:3] if len(pixels) >= 3 else np.repeat(pixels[:1], 3, axis=0)
        picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(colors, 0, -1)))
        parts.append(np.asarray(picture.reduce(factor)))
    return np.concatenate(parts)


def reduce_class_map(class_map: ClassMap, factor: int) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """The commonest class of every `factor` x `factor` pixels, and how often each class occurs.

    Returns:
        ids: int32 `(height, width)`, sides rounded up; `NO_CLASS` where there is no data. Of two classes that tie it
            is the smaller one.
        pixels: class id to its number of pixels in every row of the whole map, int64 `(height,)`.
    """
    parts = []
    counts: dict[int, np.ndarray] = {}
    for top, bottom in _bands(class_map.width, class_map.height, factor, "the map"):
        ids = class_map.read_rows(top, bottom)
        present, numbers = _numbered(ids)
        best = np.full((-(-ids.shape[0] // factor), -(-ids.shape[1] // factor)), NO_CLASS, dtype=np.int32)
        most = np.zeros(best.shape, dtype=np.int64)
        for number, class_id in enumerate(present.tolist()):
            mask = (numbers == number).view(np.uint8)
            if class_id != class_map.nodata:
                per_row = counts.setdefault(class_id, np.zeros(class_map.height, dtype=np.int64))
                per_row[top:bottom] = mask.sum(axis=1, dtype=np.uint32)
            count = _block_sums(mask, factor)
            better = count > most
            best[better] = NO_CLASS if class_id == class_map.nodata else class_id
            most[better] = count[better]
        parts.append(best)
    return np.concatenate(parts), dict(sorted(counts.items()))


def _numbered(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids that occur, rising, and the map in their numbers: what `np.unique` gives, without sorting pixels."""
    lowest = ids.min()
    shifted = ids - lowest
    present = np.flatnonzero(np.bincount(shifted.ravel()))
    table = np.zeros(present[-1] + 1, dtype=np.uint8 if len(present) <= 256 else np.uint16)
    table[present] = np.arange(len(present))
    return present + lowest, table[shifted]


def _block_sums(mask: np.ndarray, factor: int) -> np.ndarray:
    """Sums of `factor` x `factor` pixels of zeros and ones; blocks at the right and lower end may be smaller."""
    rows = np.add.reduceat(mask, np.arange(0, mask.shape[0], factor), axis=0, dtype=np.uint32)
    return np.add.reduceat(rows, np.arange(0, mask.shape[1], factor), axis=1)


def _bands(width: int, height: int, factor: int, what: str) -> Iterator[tuple[int, int]]:
    """Rows of the blocks from top to bottom, a band at a time, with a progress bar."""
    rows = max(1, _BAND_PIXELS // (width * factor)) * factor
    with tqdm(total=height, desc=f"reading {what}", unit="row", disable=None) as bar:
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            yield top, bottom
            bar.update(bottom - top)
