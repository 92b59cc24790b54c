"""COCO: one JSON file with `images`, `annotations` and `categories`; boxes are polygons in `segmentation`, in pixels.

Written annotations also have `obb` (cx, cy, w, h, theta) and `difficult`, which other programs pass over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .labelled_images import LabelledImage, Outline, labelled_image
from .source import LabelSource, finite_points, read_json
from .target import LabelTarget

__all__ = ["FILE", "read", "write"]

FILE = "annotations.json"


def read(source: LabelSource) -> list[LabelledImage]:
    """The images of a file, or of the only `.json` file of a folder. Crowds (`iscrowd`) are left out.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not of the format, has masks (RLE) in place of polygons, or names an image or a category
            that it does not have; names the annotation.
    """
    path = _only_file(source)
    content = read_json(path)
    try:
        categories = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
        source.known.extend(categories[key] for key in sorted(categories))
        images = {entry["id"]: entry for entry in content["images"]}
        outlines: dict[Any, list[Outline]] = {key: [] for key in images}
        for index, annotation in enumerate(content["annotations"]):
            place = f"{path}, annotation {annotation.get('id', index)}"
            if annotation.get("iscrowd"):
                source.notes.add("crowds, left out", place)
            elif annotation["image_id"] not in images or annotation["category_id"] not in categories:
                raise ValueError(f"{place}: there is no such image or category in the file")
            else:
                category = categories[annotation["category_id"]]
                difficult = bool(annotation.get("difficult", False))
                outlines[annotation["image_id"]].append(
                    Outline(_points(annotation, place), category, difficult, place)
                )
        return [
            labelled_image(entry["file_name"], (entry["height"], entry["width"]), outlines[key], source.notes)
            for key, entry in images.items()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a COCO file of boxes: {error!r}") from error


def _points(annotation: Mapping[str, Any], place: str) -> np.ndarray:
    """The outline: all parts of the polygon together, or the corners of `bbox` where there is no polygon."""
    parts = annotation.get("segmentation")
    if isinstance(parts, dict):
        raise ValueError(f"{place}: a mask (RLE) in place of a polygon; only polygons can become boxes")
    if parts:
        return np.concatenate([finite_points(part, place) for part in parts])
    left, top, width, height = annotation["bbox"]
    right, bottom = left + width, top + height
    return finite_points([left, top, right, top, right, bottom, left, bottom], place)


def _only_file(source: LabelSource) -> Path:
    if source.path.is_file():
        return source.path
    found = source.files(".json")
    if len(found) > 1:
        raise ValueError(f"{source.path} holds {len(found)} .json files; give the one that is meant")
    return found[0]


def write(target: LabelTarget) -> None:
    """Write `annotations.json`; ids count from 1.

    Raises:
        ValueError: the size of an image is not known.
    """
    ids = {name: index for index, name in enumerate(target.classes, start=1)}
    images, annotations = [], []
    for image_id, image in enumerate(target.images, start=1):
        height, width = target.size_of(image)
        images.append({"id": image_id, "file_name": image.file_name, "height": height, "width": width})
        for box, corners, category, difficult in zip(
            image.boxes, image.corners, image.categories, image.difficult, strict=True
        ):
            low, high = corners.min(axis=0), corners.max(axis=0)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": ids[category],
                    "segmentation": [_rounded(corners)],
                    "bbox": _rounded(np.concatenate([low, high - low])),
                    "area": round(float(box[2] * box[3]), 3),
                    "iscrowd": 0,
                    "obb": [*_rounded(box[:4]), round(float(box[4]), 7)],
                    "difficult": int(difficult),
                }
            )
    categories = [{"id": index, "name": name} for name, index in ids.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    target.write(FILE, json.dumps(content, ensure_ascii=False) + "\n")


def _rounded(values: np.ndarray) -> list[float]:
    return [round(value, 3) for value in values.ravel().tolist()]
