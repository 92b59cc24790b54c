"""The maps that a page shows on top of a scene, all in the numbers of one table of classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..class_maps import ClassMap
from ..reduction import NO_CLASS, ClassRows, class_bands, reduce_class_map

__all__ = ["MAX_CLASSES", "MapLayer", "Mistakes", "map_layer", "mistakes_layer", "number_table"]

MAX_CLASSES = 255
"""Of a grey PNG, less the value for no data."""

_RIGHT, _WRONG, _NOT_COMPARED = 0, 1, 255


@dataclass(frozen=True)
class MapLayer:
    """A map on a page.

    Attributes:
        name: in the lists from which a side of the page is chosen.
        numbers: uint8 `(height, width)`, of the overview: 0 for no data, k + 1 for entry k of the table of classes.
        rows: the map itself, still open, to read it at other scales.
        table: numbers of the class ids, as `number_table` gives them.
    """

    name: str
    numbers: np.ndarray
    rows: ClassRows
    table: np.ndarray

    def bands(self, factor: int, band_pixels: int) -> Iterator[np.ndarray]:
        """The numbers at another scale, a band of rows at a time from top to bottom, uint8 `(rows, width)`."""
        return (self.table[ids + 1] for _, ids, _ in class_bands(self.rows, factor, band_pixels))


class Mistakes:
    """Where a map and a reference differ, as a class map of its own: 0 equal, 1 different, 255 not compared.

    Classes are compared by name where both maps name theirs, otherwise by id.

    Attributes:
        compared, wrong: numbers of pixels, of the rows that have been read.
    """

    nodata: int | None = _NOT_COMPARED

    def __init__(self, class_map: ClassMap, reference: ClassMap) -> None:
        self.width, self.height = class_map.width, class_map.height
        self._class_map, self._reference = class_map, reference
        self._by_name = bool(class_map.id2label and reference.id2label)
        self.compared = self.wrong = 0

    def read_rows(self, top: int, bottom: int) -> np.ndarray:
        """Rows `top` to `bottom` (exclusive), int32 `(rows, width)`."""
        given, expected = self._class_map.read_rows(top, bottom), self._reference.read_rows(top, bottom)
        compared = np.ones(given.shape, dtype=bool)
        for ids, nodata in ((given, self._class_map.nodata), (expected, self._reference.nodata)):
            if nodata is not None:
                compared &= ids != nodata
        wrong = self._translated(expected) != given
        self.compared += int(np.count_nonzero(compared))
        self.wrong += int(np.count_nonzero(wrong & compared))
        return np.where(compared, np.where(wrong, _WRONG, _RIGHT), _NOT_COMPARED).astype(np.int32)

    def _translated(self, expected: np.ndarray) -> np.ndarray:
        """Ids of the reference as ids of the map; NO_CLASS for names that the map does not have."""
        if not self._by_name:
            return expected
        ids = {label: class_id for class_id, label in self._class_map.id2label.items()}
        present = np.unique(expected)
        wanted = np.array([ids.get(self._reference.label_of(int(class_id)), NO_CLASS) for class_id in present])
        return wanted[np.searchsorted(present, expected)]


def number_table(classes: Sequence[int], places: Sequence[int]) -> np.ndarray:
    """Numbers of class ids: entry `id + 1` holds the number, uint8; that of `NO_CLASS` is 0.

    Args:
        classes: ids that may occur.
        places: of these classes in the table of the page, from 0.
    """
    numbers = np.zeros(max([*classes, NO_CLASS]) + 2, dtype=np.uint8)
    numbers[np.asarray(classes, dtype=np.int64) + 1] = np.asarray(places, dtype=np.int64) + 1
    return numbers


def map_layer(class_map: ClassMap, factor: int, labels: list[str], colors: list[tuple[int, int, int]]) -> MapLayer:
    """A further map of the scene. Classes whose names are not yet among `labels` are appended there, with colours.

    Args:
        class_map: an open one.
        factor: by which the overview is reduced.
        labels, colors: of the table of classes; they grow.

    Raises:
        ValueError: for more than `MAX_CLASSES` classes.
    """
    ids, counts = reduce_class_map(class_map, factor)
    for class_id in counts:
        if class_map.label_of(class_id) not in labels:
            labels.append(class_map.label_of(class_id))
            colors.append(class_map.color_of(class_id))
    if len(labels) > MAX_CLASSES:
        raise ValueError(f"the page shows up to {MAX_CLASSES} classes, these maps have {len(labels)}")
    table = number_table(list(counts), [labels.index(class_map.label_of(class_id)) for class_id in counts])
    return MapLayer(class_map.path.name, table[ids + 1], class_map, table)


def mistakes_layer(class_map: ClassMap, reference: ClassMap, factor: int) -> MapLayer:
    """Where the map is wrong, named after the share of the pixels."""
    mistakes = Mistakes(class_map, reference)
    ids, _ = reduce_class_map(mistakes, factor)
    table = number_table([_RIGHT, _WRONG], [0, 1])
    name = f"Errors ({mistakes.wrong / max(1, mistakes.compared):.1%})"
    return MapLayer(name, table[ids + 1], mistakes, table)
