"""DOTA: `labelTxt/NAME.txt` with lines `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`, in pixels."""

from __future__ import annotations

import numpy as np

from ...dataset_builders.annotations import parse_dota_text
from .labelled_images import LabelledImage, Outline, labelled_image
from .source import LabelSource
from .target import LabelTarget, number

__all__ = ["read", "write"]


def read(source: LabelSource) -> list[LabelledImage]:
    """The images of a folder of label files.

    Raises:
        FileNotFoundError: no folder, no files, or an image is missing.
        ValueError: a line of another form; names the file and the line.
    """
    images = []
    for path in source.files(".txt"):
        try:
            objects = parse_dota_text(path.read_text(encoding="utf-8"), str(path))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text: {error.reason}") from error
        outlines = [
            Outline(np.array(found.polygon).reshape(-1, 2), found.category, found.difficult, f"{path}, object {index}")
            for index, found in enumerate(objects, start=1)
        ]
        images.append(labelled_image(*source.image_of(path.stem), outlines, source.notes))
    return images


def write(target: LabelTarget) -> None:
    """Write a file for each image.

    Raises:
        ValueError: a class name with spaces, which the format cannot hold.
    """
    for name in target.classes:
        if not name or any(character.isspace() for character in name):
            raise ValueError(f"class name {name!r}: DOTA's text has no place for spaces; rename it with --classes")
    for image in target.images:
        lines = [
            f"{' '.join(number(value) for value in corners.ravel())} {category} {int(difficult)}\n"
            for corners, category, difficult in zip(image.corners, image.categories, image.difficult, strict=True)
        ]
        target.write(f"labelTxt/{image.name}.txt", "".join(lines))
