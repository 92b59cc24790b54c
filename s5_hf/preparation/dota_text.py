"""DOTA's label text: the boxes of an image, and the lines of a patch."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dataset_builders.annotations import parse_dota_text
from ..imaging.windows import Window

__all__ = ["DotaBoxes", "format_boxes", "read_boxes"]


@dataclass(frozen=True)
class DotaBoxes:
    """Boxes of one image: `polygons` `(n, 4, 2)` float64 pixels, class names, and whether each is difficult."""

    polygons: np.ndarray
    categories: tuple[str, ...]
    difficult: tuple[bool, ...]

    @classmethod
    def none(cls) -> "DotaBoxes":
        return cls(np.zeros((0, 4, 2)), (), ())

    def __len__(self) -> int:
        return len(self.categories)


def read_boxes(path: Path, labels: Collection[str]) -> DotaBoxes:
    """Read a label file; the `imagesource:` and `gsd:` lines at its head are skipped.

    Raises:
        ValueError: a line of another form (names the file and the line), a class that is not in `labels`, or a file
            that is not UTF-8 text.
    """
    try:
        objects = parse_dota_text(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error.reason}") from error
    known = {label.lower() for label in labels}
    if unknown := sorted({found.category for found in objects if found.category.lower() not in known}):
        raise ValueError(f"{path}: unknown class {unknown[0]!r}; known: {', '.join(labels)}")
    polygons = np.array([found.four_corners for found in objects], dtype=np.float64).reshape(-1, 4, 2)
    return DotaBoxes(polygons, tuple(found.category for found in objects), tuple(found.difficult for found in objects))


def format_boxes(boxes: DotaBoxes, kept: np.ndarray, window: Window) -> str:
    """The label text of a patch: the boxes marked in `kept` `(n,)`, corners relative to the window's."""
    lines = []
    for index in np.flatnonzero(kept):
        corners = boxes.polygons[index] - (window.left, window.top)
        numbers = " ".join(f"{value:.10g}" for value in corners.ravel().round(3))
        lines.append(f"{numbers} {boxes.categories[index]} {int(boxes.difficult[index])}\n")
    return "".join(lines)
