"""A minimum mapping unit: regions of a map that are too small go to the neighbour with the longest common border.

A region is a set of pixels of one class that are connected by their sides. The map is read in bands of rows three
times, so that memory grows with its width and with the number of its regions, not with its height.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["merge_small_regions"]


def merge_small_regions(
    read: Callable[[int, int], np.ndarray],
    write: Callable[[int, np.ndarray], None],
    shape: tuple[int, int],
    minimum: float,
    row_areas: np.ndarray | None,
    nodata: int,
    band_rows: int = 512,
) -> int:
    """Write a map in which no region is smaller than `minimum`, except where it has no neighbour.

    The smallest region is merged first, into the class with which it shares the most sides of pixels (of two that tie,
    the one with the smaller id), and grows by all neighbours of that class. Pixels without data stay as they are.

    Args:
        read: gives the rows from a first to a last (exclusive), uint8 `(rows, width)`.
        write: takes the number of the first row, and rows, from top to bottom.
        shape: height and width of the map.
        minimum: area of the smallest region, in the unit of `row_areas`.
        row_areas: area of a pixel in each row, `(height,)`; None to count pixels.
        nodata: the value without a class.
        band_rows: rows that are read at once.

    Returns:
        How many regions were merged into another class.
    """
    areas = np.ones(shape[0]) if row_areas is None else row_areas
    bands = [(top, min(top + band_rows, shape[0])) for top in range(0, shape[0], band_rows)]

    def labelled() -> Iterator[_Band]:
        for top, bottom in bands:
            yield _Band.of_rows(top, read(top, bottom))

    regions = _all_regions(labelled(), areas)
    small = (regions.areas < minimum) & (regions.classes != nodata)
    borders = _borders_of(labelled(), regions, small, nodata)
    classes = _merged_classes(regions, np.flatnonzero(small), borders, minimum)
    for number, band in enumerate(labelled()):
        write(band.top, classes[regions.numbers[number][band.labels]])
    return int(np.count_nonzero(classes != regions.classes))


@dataclass(frozen=True)
class _Band:
    """Rows of a map: their classes, and the number of the region within the band for each pixel, from 0."""

    top: int
    ids: np.ndarray
    labels: np.ndarray
    count: int

    @classmethod
    def of_rows(cls, top: int, ids: np.ndarray) -> _Band:
        begins = np.ones(ids.shape, dtype=bool)
        begins[:, 1:] = ids[:, 1:] != ids[:, :-1]
        runs = np.cumsum(begins.ravel(), dtype=np.int32).reshape(ids.shape) - 1  # pixels of one class in one row
        same = ids[1:] == ids[:-1]
        components = _components(runs[-1, -1] + 1, runs[:-1][same], runs[1:][same])
        return cls(top, ids, components[runs], int(components.max()) + 1)


@dataclass(frozen=True)
class _Regions:
    """All regions of a map.

    Attributes:
        numbers: for each band, from the regions within it to those of the map.
        classes, areas: of each region of the map.
    """

    numbers: list[np.ndarray]
    classes: np.ndarray
    areas: np.ndarray


def _components(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The number of the component of each of `count` nodes, int32, with edges from `one` to `other`."""
    pairs = np.unique(one.astype(np.int64) * count + other)
    edges = coo_array((np.ones(len(pairs), dtype=bool), (pairs // count, pairs % count)), shape=(count, count))
    return connected_components(edges, directed=False)[1]


def _all_regions(bands: Iterator[_Band], row_areas: np.ndarray) -> _Regions:
    """Regions of the bands, joined where they go on in the next one."""
    classes, areas, joints, counts = [], [], [], []
    last_ids = last_labels = None
    offset = 0
    for band in bands:
        of_band = np.zeros(band.count, dtype=band.ids.dtype)
        of_band[band.labels] = band.ids
        classes.append(of_band)
        weights = np.repeat(row_areas[band.top : band.top + len(band.ids)], band.ids.shape[1])
        areas.append(np.bincount(band.labels.ravel(), weights))
        if last_ids is not None:
            same = last_ids == band.ids[0]
            joints.append(np.stack([last_labels[same], band.labels[0][same] + offset]))
        last_ids, last_labels = band.ids[-1], band.labels[-1] + offset
        counts.append(band.count)
        offset += band.count
    one, other = np.concatenate(joints, axis=1) if joints else np.zeros((2, 0), dtype=np.int64)
    components = _components(offset, one, other)
    merged = np.zeros(components.max() + 1, dtype=classes[0].dtype)
    merged[components] = np.concatenate(classes)
    numbers = np.split(components, np.cumsum(counts)[:-1])
    return _Regions(numbers, merged, np.bincount(components, np.concatenate(areas)))


def _borders_of(
    bands: Iterator[_Band], regions: _Regions, small: np.ndarray, nodata: int
) -> dict[int, dict[int, int]]:
    """Sides of pixels that small regions share with others: region -> neighbour -> length, both ways."""
    count = len(small)
    counts: dict[int, int] = defaultdict(int)
    last = None
    for number, band in enumerate(bands):
        at = regions.numbers[number][band.labels].astype(np.int64)
        rows = at if last is None else np.concatenate([last[None], at])
        for one, other in ((at[:, 1:], at[:, :-1]), (rows[1:], rows[:-1])):
            counted = (one != other) & (small[one] | small[other])
            counted &= (regions.classes[one] != nodata) & (regions.classes[other] != nodata)
            low, high = np.minimum(one[counted], other[counted]), np.maximum(one[counted], other[counted])
            for pair, length in zip(*np.unique(low * count + high, return_counts=True), strict=True):
                counts[int(pair)] += int(length)
        last = at[-1]
    borders: dict[int, dict[int, int]] = defaultdict(dict)
    for pair, length in counts.items():
        one, other = divmod(pair, count)
        borders[one][other] = borders[other][one] = length
    return borders


def _merged_classes(
    regions: _Regions, small: np.ndarray, borders: dict[int, dict[int, int]], minimum: float
) -> np.ndarray:
    """The class of each region after the merging."""
    areas, classes = regions.areas, regions.classes.copy()
    areas = {region: float(areas[region]) for region in {*small.tolist(), *borders}}
    waiting = [(areas[region], region) for region in small.tolist()]
    heapq.heapify(waiting)
    owners: dict[int, int] = {}
    while waiting:
        area, region = heapq.heappop(waiting)
        if region in owners or area != areas[region] or not borders.get(region):
            continue
        lengths: dict[int, int] = defaultdict(int)
        for neighbour, length in borders[region].items():
            lengths[int(classes[neighbour])] += length
        chosen = max(lengths, key=lambda class_id: (lengths[class_id], -class_id))
        joined = [neighbour for neighbour in borders[region] if classes[neighbour] == chosen]
        owner = max(joined, key=lambda neighbour: len(borders[neighbour]))
        for member in (region, *joined):
            if member != owner:
                _absorb(owner, member, borders)
                owners[member] = owner
                areas[owner] += areas[member]
        if areas[owner] < minimum:
            heapq.heappush(waiting, (areas[owner], owner))
    for region in owners:
        last = region
        while last in owners:
            last = owners[last]
        classes[region] = classes[last]
    return classes


def _absorb(owner: int, member: int, borders: dict[int, dict[int, int]]) -> None:
    """Give the borders of one region to another."""
    for neighbour, length in borders.pop(member).items():
        del borders[neighbour][member]
        if neighbour != owner:
            total = borders[owner].get(neighbour, 0) + length
            borders[owner][neighbour] = borders[neighbour][owner] = total
