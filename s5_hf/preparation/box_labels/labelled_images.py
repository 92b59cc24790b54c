"""The labelled boxes of images, in the one form that all formats are read into and written from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...dataset_builders.oriented_geometry import boxes_to_polygons, points_to_box

__all__ = ["BoxNotes", "LabelledImage", "Outline", "labelled_image"]


@dataclass(frozen=True)
class Outline:
    """What a file says of one object.

    Attributes:
        points: float64 `(n, 2)`, x and y in pixels, three or more; any polygon around the object.
        category: name of its class.
        difficult: whether it is marked as hard to recognise.
        place: file and line or number, for messages.
    """

    points: np.ndarray
    category: str
    difficult: bool
    place: str


@dataclass(frozen=True)
class LabelledImage:
    """One image and its boxes.

    Attributes:
        name: of the image's file, without folder and suffix.
        file_name: of the image's file.
        size: height and width in pixels; None where nothing says so.
        boxes: float64 `(n, 5)`: cx, cy, w, h in pixels, theta in radians, clockwise on the screen, in canonical form
            (w >= h, theta in (-pi/2, pi/2]).
        categories: class names `(n,)`.
        difficult: `(n,)`.
    """

    name: str
    file_name: str
    size: tuple[int, int] | None
    boxes: np.ndarray
    categories: tuple[str, ...]
    difficult: tuple[bool, ...]

    @property
    def corners(self) -> np.ndarray:
        """`(n, 4, 2)`, x and y in pixels, clockwise on the screen."""
        return boxes_to_polygons(self.boxes).reshape(-1, 4, 2)


@dataclass
class BoxNotes:
    """What was changed on the way, counted, with the first place of each."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, place: str) -> None:
        """Count one case."""
        self.counts[what] += 1
        self.first.setdefault(what, place)

    def sentences(self) -> list[str]:
        """One sentence for each kind of case."""
        return [f"{what}: {count:,}, the first is {self.first[what]}" for what, count in self.counts.items()]


MANY_CORNERS = "polygons with other than four corners, replaced by the smallest rectangles around them"
OUTSIDE = "boxes wholly outside their image, left out"
NO_AREA = "boxes without area, left out"


def labelled_image(
    file_name: str, size: tuple[int, int] | None, outlines: Sequence[Outline], notes: BoxNotes
) -> LabelledImage:
    """The boxes of an image: of each outline the smallest rectangle around it.

    Args:
        file_name: of the image; its folder is dropped.
        size: height and width; boxes beyond it are left out.
        outlines: the objects.
        notes: takes what is changed or left out.
    """
    boxes, categories, difficult = [], [], []
    for outline in outlines:
        if len(outline.points) != 4:
            notes.add(MANY_CORNERS, outline.place)
        box = points_to_box(outline.points)
        if box[2:4].min() <= 0:
            notes.add(NO_AREA, outline.place)
        elif size is not None and _is_outside(box, size):
            notes.add(OUTSIDE, outline.place)
        else:
            boxes.append(box)
            categories.append(outline.category)
            difficult.append(outline.difficult)
    base = file_name.replace("\\", "/").rpartition("/")[2]
    name = base.rpartition(".")[0] or base
    return LabelledImage(
        name, base, size, np.array(boxes, dtype=np.float64).reshape(-1, 5), tuple(categories), tuple(difficult)
    )


def _is_outside(box: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether the hull of a box `(5,)` has nothing in common with an image `(height, width)`."""
    corners = boxes_to_polygons(box).reshape(4, 2)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return bool(right <= 0 or bottom <= 0 or left >= size[1] or top >= size[0])
