"""YOLO-OBB: `labels/NAME.txt` with lines `class x1 y1 x2 y2 x3 y3 x4 y4`, corners in shares of width and height.

`data.yaml` beside the folder has the class names in `names`, a list or a mapping from ids.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import yaml

from .labelled_images import LabelledImage, Outline, labelled_image
from .source import LabelSource, finite_points
from .target import LabelTarget, number

__all__ = ["read", "write"]

BEYOND = "boxes that reach beyond their image, whose corners lie outside 0..1 (Ultralytics refuses their images)"

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def read(source: LabelSource) -> list[LabelledImage]:
    """The images of a folder of label files. The names of classes are those given, or those of `data.yaml`.

    Raises:
        FileNotFoundError: no folder, no files, no class names, or an image is missing.
        ValueError: a line of another form; names the file and the line.
    """
    if source.images is None:
        raise ValueError("YOLO labels are shares of the image: give the folder of the images (--images)")
    names = source.classes or _names_beside(source.path)
    source.known.extend(names)
    images = []
    for path in source.files(".txt"):
        file_name, size = source.image_of(path.stem)
        outlines = []
        for index, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if line.strip():
                outlines.append(_outline(line, names, size, f"{path}, line {index}"))
        images.append(labelled_image(file_name, size, outlines, source.notes))
    return images


def _outline(line: str, names: tuple[str, ...], size: tuple[int, int], place: str) -> Outline:
    label, *fields = line.split()
    if not label.isascii() or not label.isdigit() or int(label) >= len(names):
        raise ValueError(f"{place}: class {label[:20]!r}, expected 0 to {len(names) - 1}")
    if len(fields) == 4:
        raise ValueError(f"{place}: a horizontal box (x, y, w, h); expected the corners of an oriented one")
    wrong = next((field for field in fields if not _NUMBER.fullmatch(field)), None)
    if wrong is not None:
        raise ValueError(f"{place}: {wrong[:50]!r} is not a number")
    points = finite_points([float(field) for field in fields], place)
    return Outline(points * (size[1], size[0]), names[int(label)], False, place)


def _names_beside(folder: Path) -> tuple[str, ...]:
    """The class names of `data.yaml` in a folder of labels or up to two folders above it."""
    for place in (folder, *folder.resolve().parents[:2]):
        path = place / "data.yaml"
        if path.is_file():
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            names = content.get("names") if isinstance(content, dict) else None
            if isinstance(names, dict) and sorted(names) == list(range(len(names))):
                names = [names[index] for index in range(len(names))]
            if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
                raise ValueError(f"{path}: expected names, a list of class names or a mapping from 0, 1, ... to them")
            return tuple(names)
    raise FileNotFoundError(f"nothing says what the classes of {folder} are: no data.yaml; name them with --classes")


def write(target: LabelTarget) -> None:
    """Write a file for each image, and `data.yaml`.

    Raises:
        ValueError: the size of an image is not known.
    """
    ids = {name: index for index, name in enumerate(target.classes)}
    for image in target.images:
        height, width = target.size_of(image)
        target.without_difficult(image)
        lines = []
        for corners, category in zip(image.corners / (width, height), image.categories, strict=True):
            if np.any((corners < 0) | (corners > 1)):
                target.notes.add(BEYOND, image.name)
            numbers = " ".join(number(value, 8) for value in corners.ravel())
            lines.append(f"{ids[category]} {numbers}\n")
        target.write(f"labels/{image.name}.txt", "".join(lines))
    names = dict(enumerate(target.classes))
    target.write("data.yaml", yaml.safe_dump({"names": names}, allow_unicode=True, sort_keys=False))
