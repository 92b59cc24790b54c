"""Annotated oriented objects: DOTA text files and the XML files of DIOR-R."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from .errors import SampleError
from .oriented_geometry import polygons_to_boxes

_HEADER = re.compile(r"\s*(imagesource|gsd|acquisition dates?)\s*:", re.IGNORECASE)
_DIOR_CORNERS = tuple(
    f"{axis}_{corner}" for corner in ("left_top", "right_top", "right_bottom", "left_bottom") for axis in "xy"
)


@dataclass(frozen=True)
class OrientedObject:
    """One annotated object: corners x1, y1 .. x4, y4 in pixels, class name, and whether it is hard to recognise."""

    polygon: tuple[float, ...]
    category: str
    difficult: bool


def parse_dota_text(text: str, name: str) -> list[OrientedObject]:
    """Objects of a DOTA text file: `x1 y1 x2 y2 x3 y3 x4 y4 class difficult` per line.

    Lines such as `imagesource:GoogleEarth` and `gsd:0.15` are passed over; without `difficult` an object is not.

    Raises:
        SampleError: for a line of another form, with `name` and the line's number.
    """
    objects = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        if not line.strip() or _HEADER.match(line):
            continue
        fields = line.split()
        try:
            polygon = tuple(float(field) for field in fields[:8])
            difficult = bool(int(fields[9])) if len(fields) == 10 else False
        except ValueError as error:
            raise SampleError(f"{name}, line {number}: {error}") from error
        if len(fields) not in (9, 10) or not all(map(math.isfinite, polygon)):
            raise SampleError(
                f"{name}, line {number}: expected 'x1 y1 x2 y2 x3 y3 x4 y4 class difficult', got {line[:200]!r}"
            )
        objects.append(OrientedObject(polygon, fields[8], difficult))
    return objects


def parse_dior_xml(text: str, name: str) -> list[OrientedObject]:
    """Objects of a DIOR-R annotation: `object` elements with a `name` and the corners in `robndbox`.

    Raises:
        SampleError: if the file is no XML or an object lacks its name or a corner.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise SampleError(f"{name}: no XML: {error}") from error
    objects = []
    for number, element in enumerate(root.iter("object"), start=1):
        values = [element.findtext(f"robndbox/{corner}") for corner in _DIOR_CORNERS]
        category = element.findtext("name")
        try:
            polygon = tuple(float(value) for value in values if value is not None)
        except ValueError as error:
            raise SampleError(f"{name}, object {number}: {error}") from error
        if category is None or len(polygon) != 8:
            raise SampleError(f"{name}, object {number}: expected a name and the eight numbers of a robndbox")
        difficult = (element.findtext("difficult") or "0").strip() not in ("", "0")
        objects.append(OrientedObject(polygon, category.strip(), difficult))
    return objects


def as_columns(objects: Sequence[OrientedObject], labels: Sequence[str], ignored: Sequence[str], name: str) -> dict:
    """The `objects` column of a sample.

    Args:
        objects: the annotated objects.
        labels: class names; compared without case.
        ignored: class names whose objects are left out.
        name: where they come from, for the error.

    Raises:
        SampleError: for a class that is in neither list.
    """
    ids = {label.lower(): index for index, label in enumerate(labels)}
    left_out = {label.lower() for label in ignored}
    kept = [found for found in objects if found.category.lower() not in left_out]
    unknown = next((found.category for found in kept if found.category.lower() not in ids), None)
    if unknown is not None:
        raise SampleError(f"{name}: unknown class {unknown!r}, known: {', '.join(labels)}")
    polygons = np.array([found.polygon for found in kept], dtype=np.float64).reshape(-1, 8)
    return {
        "obb": polygons_to_boxes(polygons).astype(np.float32).tolist(),
        "polygon": polygons.astype(np.float32).tolist(),
        "category": [ids[found.category.lower()] for found in kept],
        "difficult": [found.difficult for found in kept],
    }
