"""DOTA's label text: reading a whole file strictly, and writing the lines of a patch."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .crops import Window

__all__ = ["DotaBoxes", "format_boxes", "read_boxes"]

_HEADERS = ("imagesource:", "gsd:")


@dataclass(frozen=True)
class DotaBoxes:
    """Boxes of one image: `polygons` `(n, 4, 2)` float64 pixels, with the class and the difficult mark as written."""

    polygons: np.ndarray
    categories: tuple[str, ...]
    difficult: tuple[str, ...]

    @classmethod
    def none(cls) -> "DotaBoxes":
        return cls(np.zeros((0, 4, 2)), (), ())

    def __len__(self) -> int:
        return len(self.categories)


def read_boxes(path: Path, labels: Collection[str]) -> DotaBoxes:
    """Read a label file; the `imagesource:` and `gsd:` lines at its head are passed over.

    Raises:
        ValueError: a line that is not `x1 y1 x2 y2 x3 y3 x4 y4 class [difficult]` with a class out of `labels` and
            difficult 0, 1 or 2; names the file and the line.
    """
    polygons, categories, difficult = [], [], []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].lower().startswith(_HEADERS):
            continue
        place = f"{path}, line {number}"
        if len(fields) not in (9, 10):
            raise ValueError(
                f"{place}: {len(fields)} fields, expected eight corner coordinates, class and difficult: {line!r}"
            )
        try:
            corners = np.array(fields[:8], dtype=np.float64).reshape(4, 2)
        except ValueError as error:
            raise ValueError(f"{place}: corner coordinates must be numbers: {line!r}") from error
        if not np.isfinite(corners).all():
            raise ValueError(f"{place}: corner coordinates must be finite: {line!r}")
        if fields[8] not in labels:
            raise ValueError(f"{place}: unknown class {fields[8]!r}; known: {', '.join(labels)}")
        mark = fields[9] if len(fields) == 10 else "0"
        if mark not in ("0", "1", "2"):
            raise ValueError(f"{place}: difficult must be 0, 1 or 2, got {mark!r}")
        polygons.append(corners)
        categories.append(fields[8])
        difficult.append(mark)
    if not polygons:
        return DotaBoxes.none()
    return DotaBoxes(np.stack(polygons), tuple(categories), tuple(difficult))


def format_boxes(boxes: DotaBoxes, kept: np.ndarray, window: Window) -> str:
    """The label text of a patch: the boxes marked in `kept` `(n,)`, corners relative to the window's."""
    lines = []
    for index in np.flatnonzero(kept):
        corners = boxes.polygons[index] - (window.left, window.top)
        numbers = " ".join(f"{value:.10g}" for value in corners.ravel().round(3))
        lines.append(f"{numbers} {boxes.categories[index]} {boxes.difficult[index]}\n")
    return "".join(lines)
