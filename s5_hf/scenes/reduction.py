"""Scenes and class maps reduced by a whole factor, read in bands of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from PIL import Image
from tqdm import tqdm

from .source import SceneSource

__all__ = [
    "BAND_PIXELS",
    "MAX_OVERLAY_SIDE",
    "NO_CLASS",
    "ClassRows",
    "class_bands",
    "reduce_class_map",
    "reduce_scene",
    "reduction_factor",
    "scene_bands",
]

MAX_OVERLAY_SIDE = 2048
"""Pixels of the longer side of an overlay, without its legend."""

NO_CLASS = -1
"""Where a reduced class map holds no data."""

BAND_PIXELS = 2**23
"""Pixels that are read at a time."""


class ClassRows(Protocol):
    """What is reduced as a class map: an open one, or what is computed from some.

    Attributes:
        width, height: in pixels.
        nodata: the id without a class; None where all ids are classes.
    """

    width: int
    height: int
    nodata: int | None

    def read_rows(self, top: int, bottom: int) -> np.ndarray:
        """Class ids of rows `top` to `bottom` (exclusive), int32 `(bottom - top, width)`."""
        ...


def reduction_factor(width: int, height: int, max_size: int) -> int:
    """The smallest whole factor by which the longer side comes down to `max_size` pixels."""
    return -(-max(width, height) // max_size)


def reduce_scene(scene: SceneSource, factor: int) -> np.ndarray:
    """The mean of every `factor` x `factor` pixels, uint8 `(height, width, 3)`, sides rounded up.

    With more or fewer than three channels, the first three, or the first, are taken.
    """
    with _progress(scene.height, factor, "the scene") as bar:
        parts = []
        for part in scene_bands(scene, factor):
            parts.append(part)
            bar.update(len(part))
    return np.concatenate(parts)


def scene_bands(scene: SceneSource, factor: int, band_pixels: int = BAND_PIXELS) -> Iterator[np.ndarray]:
    """What `reduce_scene` gives, a band of rows at a time from top to bottom.

    Args:
        scene: an open one.
        factor: by which it is reduced.
        band_pixels: of the scene, about as many as are read at a time, but at least `factor` rows.
    """
    for top, bottom in _row_ranges(scene.width, scene.height, factor, band_pixels):
        pixels, _ = scene.read_rows(top, bottom)
        colors = pixels[:3] if len(pixels) >= 3 else np.repeat(pixels[:1], 3, axis=0)
        picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(colors, 0, -1)))
        yield np.asarray(picture.reduce(factor))


def reduce_class_map(class_map: ClassRows, factor: int) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """The commonest class of every `factor` x `factor` pixels, and how often each class occurs.

    Returns:
        ids: int32 `(height, width)`, sides rounded up; `NO_CLASS` where there is no data. Of two classes that tie it
            is the smaller one.
        pixels: class id to its number of pixels in every row of the whole map, int64 `(height,)`.
    """
    parts = []
    counts: dict[int, np.ndarray] = {}
    with _progress(class_map.height, factor, "the map") as bar:
        for top, ids, band_counts in class_bands(class_map, factor):
            for class_id, per_row in band_counts.items():
                total = counts.setdefault(class_id, np.zeros(class_map.height, dtype=np.int64))
                total[top : top + len(per_row)] = per_row
            parts.append(ids)
            bar.update(len(ids))
    return np.concatenate(parts), dict(sorted(counts.items()))


def class_bands(
    class_map: ClassRows, factor: int, band_pixels: int = BAND_PIXELS
) -> Iterator[tuple[int, np.ndarray, dict[int, np.ndarray]]]:
    """What `reduce_class_map` gives, a band of rows at a time from top to bottom; see `scene_bands`.

    Yields:
        The band's first row in the whole map; the ids; the pixels of each class in every row of the whole map that
        belongs to the band, uint32.
    """
    for top, bottom in _row_ranges(class_map.width, class_map.height, factor, band_pixels):
        ids = class_map.read_rows(top, bottom)
        present, numbers = _numbered(ids)
        counts: dict[int, np.ndarray] = {}
        best = np.full((-(-ids.shape[0] // factor), -(-ids.shape[1] // factor)), NO_CLASS, dtype=np.int32)
        most = np.zeros(best.shape, dtype=np.int64)
        for number, class_id in enumerate(present.tolist()):
            mask = (numbers == number).view(np.uint8)
            if class_id != class_map.nodata:
                counts[class_id] = mask.sum(axis=1, dtype=np.uint32)
            count = _block_sums(mask, factor)
            better = count > most
            best[better] = NO_CLASS if class_id == class_map.nodata else class_id
            most[better] = count[better]
        yield top, best, counts


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


def _row_ranges(width: int, height: int, factor: int, band_pixels: int) -> Iterator[tuple[int, int]]:
    """Rows of the blocks from top to bottom, so many at a time that memory does not grow with the height."""
    rows = max(1, band_pixels // (width * factor)) * factor
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def _progress(height: int, factor: int, what: str) -> tqdm:
    return tqdm(total=-(-height // factor), desc=f"reading {what}", unit="row", disable=None)
