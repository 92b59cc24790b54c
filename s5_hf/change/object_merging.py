"""Objects that several windows of a scene show, made one.

Two windows that overlap both see an object between them, as a whole or in part. What they saw is one object if it
agrees where both could see it: at least half of the smaller part there is shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..imaging.windows import Window
from .search import Changes

__all__ = ["ChangedObject", "merge_objects", "objects_of_window"]

SHARED = 0.5
"""Least share of the smaller part, in the pixels that both windows see."""


@dataclass(frozen=True)
class ChangedObject:
    """An object of a scene that changed.

    Attributes:
        left, top: of its box in the scene, in pixels.
        crop: its pixels in the box, bool `(height, width)`.
        class_before, class_after: class ids; 0 is the background.
        angle: by which its features turned, in degrees.
        confidence: of its class, 0..1.
        windows: that show it.
    """

    left: int
    top: int
    crop: np.ndarray
    class_before: int
    class_after: int
    angle: float
    confidence: float
    windows: tuple[Window, ...]

    @property
    def box(self) -> Window:
        """Its box in the scene."""
        height, width = self.crop.shape
        return Window(self.left, self.top, self.left + width, self.top + height)

    def part(self, place: Window) -> np.ndarray:
        """Its pixels in a place that lies inside its box."""
        rows = slice(place.top - self.top, place.bottom - self.top)
        return self.crop[rows, place.left - self.left : place.right - self.left]


def objects_of_window(changes: Changes, window: Window, valid: np.ndarray) -> list[ChangedObject]:
    """The changes of a window as objects of the scene, without the pixels that hold no data at either date.

    An object of which less than half holds data is left out.

    Args:
        changes: found in the window.
        window: its place.
        valid: bool `(height, width)` of the window.
    """
    found = []
    for index, (left, top, right, bottom) in enumerate(changes.masks.boxes.tolist()):
        whole = changes.masks.crops[index]
        crop = whole & valid[top : bottom + 1, left : right + 1]
        if crop.any() and 2 * crop.sum() >= whole.sum():
            found.append(
                ChangedObject(
                    window.left + left,
                    window.top + top,
                    crop,
                    int(changes.classes_before[index]),
                    int(changes.classes_after[index]),
                    float(changes.angles[index]),
                    float(changes.confidences[index]),
                    (window,),
                )
            )
    return found


def merge_objects(
    objects: Sequence[ChangedObject], next_top: int | None = None
) -> tuple[list[ChangedObject], list[ChangedObject]]:
    """Objects made one where windows agree on them.

    Args:
        objects: as single windows show them.
        next_top: first row of the windows that are still to come; None if there are none.

    Returns:
        Those that no later window can show, each once; and the single ones of the others, for the next call.
    """
    groups = _groups(objects)
    finished, waiting = [], []
    for group in groups:
        if next_top is not None and any(member.box.bottom > next_top for member in group):
            waiting += group
        else:
            finished.append(_union(group))
    return finished, waiting


def _groups(objects: Sequence[ChangedObject]) -> Iterator[list[ChangedObject]]:
    pairs = [(i, j) for i, j in _touching(objects) if _is_same(objects[i], objects[j])]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(objects), len(objects)))
    count, labels = connected_components(graph, directed=False)
    groups: list[list[ChangedObject]] = [[] for _ in range(count)]
    for label, member in zip(labels, objects, strict=True):
        groups[label].append(member)
    return iter(groups)


def _touching(objects: Sequence[ChangedObject]) -> Iterator[tuple[int, int]]:
    """Pairs of objects of different windows whose boxes share pixels."""
    boxes = np.array([[*member.box] for member in objects], dtype=np.int64).reshape(-1, 4)
    for index, (left, top, right, bottom) in enumerate(boxes):
        later = boxes[index + 1 :]
        near = (later[:, 0] < right) & (later[:, 2] > left) & (later[:, 1] < bottom) & (later[:, 3] > top)
        for other in np.flatnonzero(near) + index + 1:
            if objects[index].windows != objects[other].windows:
                yield index, int(other)


def _is_same(first: ChangedObject, second: ChangedObject) -> bool:
    if (first.class_before, first.class_after) != (second.class_before, second.class_after):
        return False
    shared_box = _intersection(first.box, second.box)
    shared = int((first.part(shared_box) & second.part(shared_box)).sum())
    # Only where both windows look: an object cut by the end of one is larger in the other.
    seen = [
        int(member.part(_intersection(member.box, other.windows[0])).sum())
        for member, other in ((first, second), (second, first))
    ]
    return shared > 0 and shared >= SHARED * min(seen)


def _intersection(first: Window, second: Window) -> Window:
    return Window(
        max(first.left, second.left),
        max(first.top, second.top),
        min(first.right, second.right),
        min(first.bottom, second.bottom),
    )


def _union(group: Sequence[ChangedObject]) -> ChangedObject:
    """One object of several; its angle is their mean by pixels, its confidence the best."""
    if len(group) == 1:
        return group[0]
    boxes = np.array([[*member.box] for member in group])
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    crop = np.zeros((bottom - top, right - left), dtype=bool)
    for member in group:
        height, width = member.crop.shape
        place = crop[member.top - top :, member.left - left :][:height, :width]
        place |= member.crop
    areas = [int(member.crop.sum()) for member in group]
    return ChangedObject(
        left,
        top,
        crop,
        group[0].class_before,
        group[0].class_after,
        float(np.average([member.angle for member in group], weights=areas)),
        max(member.confidence for member in group),
        tuple(window for member in group for window in member.windows),
    )
