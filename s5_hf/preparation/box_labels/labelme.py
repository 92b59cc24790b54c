"""LabelMe: `NAME.json` for each image, with polygons in `shapes`, in pixels."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .labelled_images import LabelledImage, Outline, labelled_image
from .source import LabelSource, finite_points, read_json
from .target import LabelTarget

__all__ = ["read", "write"]

_VERSION = "5.5.0"


def read(source: LabelSource) -> list[LabelledImage]:
    """The images of a folder of label files. Shapes are polygons, rectangles, or rotated rectangles.

    Raises:
        FileNotFoundError: no folder or no files.
        ValueError: a file that is not of the format, or a shape that is no polygon; names the file and the shape.
    """
    images = []
    for path in source.files(".json"):
        content = read_json(path)
        try:
            size = int(content["imageHeight"]), int(content["imageWidth"])
            outlines = [
                _outline(shape, f"{path}, shape {index}") for index, shape in enumerate(content["shapes"], start=1)
            ]
            images.append(labelled_image(content["imagePath"], size, outlines, source.notes))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a LabelMe file: {error!r}") from error
    return images


def _outline(shape: dict[str, Any], place: str) -> Outline:
    kind, points = shape.get("shape_type") or "polygon", [value for point in shape["points"] for value in point]
    if kind == "rectangle" and len(points) == 4:
        left, top, right, bottom = points
        points = [left, top, right, top, right, bottom, left, bottom]
    elif kind not in ("polygon", "rectangle", "rotation", "oriented_rectangle"):
        raise ValueError(f"{place}: a {kind!r}; only polygons and rectangles can become boxes")
    difficult = bool((shape.get("flags") or {}).get("difficult", False))
    return Outline(finite_points(points, place), str(shape["label"]), difficult, place)


def write(target: LabelTarget) -> None:
    """Write a file for each image, without the image in it.

    Raises:
        ValueError: the size of an image is not known.
    """
    for image in target.images:
        height, width = target.size_of(image)
        shapes = [
            {
                "label": category,
                "points": [[round(x, 3), round(y, 3)] for x, y in np.asarray(corners).tolist()],
                "group_id": None,
                "shape_type": "polygon",
                "flags": {"difficult": True} if difficult else {},
            }
            for corners, category, difficult in zip(image.corners, image.categories, image.difficult, strict=True)
        ]
        content = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": image.file_name,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        target.write(f"{image.name}.json", json.dumps(content, ensure_ascii=False, indent=1) + "\n")
