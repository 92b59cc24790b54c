"""Annotated oriented objects: DOTA text files and the XML files of DIOR-R."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from .errors import SampleError
from .oriented_geometry import boxes_to_polygons, points_to_box, polygons_to_boxes

_HEADER = re.compile(r"\s*(imagesource|gsd|acquisition dates?)\s*:", re.IGNORECASE)
# Python's own float() and int() also take "1_0", "nan" and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DOTA_LINE = "'x1 y1 x2 y2 x3 y3 x4 y4 class difficult'"
_DIOR_OBJECT = "a name and the eight numbers of a robndbox"
_DIFFICULT = {"0": False, "1": True, "2": True}
_DIOR_CORNERS = tuple(
    f"{axis}_{corner}" for corner in ("left_top", "right_top", "right_bottom", "left_bottom") for axis in "xy"
)


@dataclass(frozen=True)
class OrientedObject:
    """One annotated object: its corners x1, y1, x2 .. in pixels, class name, and whether it is hard to recognise.

    Attributes:
        polygon: four corners or more.
    """

    polygon: tuple[float, ...]
    category: str
    difficult: bool

    @property
    def four_corners(self) -> tuple[float, ...]:
        """The corners x1, y1 .. x4, y4; of a polygon with more corners those of the smallest rectangle around it."""
        if len(self.polygon) == 8:
            return self.polygon
        warnings.warn(MANY_CORNERS, stacklevel=2)
        box = points_to_box(np.array(self.polygon).reshape(-1, 2))
        return tuple(boxes_to_polygons(box).ravel().tolist())


MANY_CORNERS = "polygons with more than four corners are replaced by the smallest rectangles around them"
"""A warning of one text, so that Python shows it once."""


def parse_dota_text(text: str, name: str) -> list[OrientedObject]:
    """Objects of a DOTA text file: `x1 y1 x2 y2 x3 y3 x4 y4 class difficult` per line.

    Lines such as `imagesource:GoogleEarth` and `gsd:0.15` are skipped; without `difficult` an object is not difficult.
    `difficult` is 0, 1, or 2, which DOTA's own tool for cutting images writes where it cut through an object. Polygons
    may have more than four corners, which DOTA's have not.

    Raises:
        SampleError: for a line of another form, with `name` and the line's number.
    """
    objects = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        if not line.strip() or _HEADER.match(line):
            continue
        fields, place = line.split(), f"{name}, line {number}"
        numbers = (len(fields) - 1) // 2 * 2
        if numbers < 8:
            raise SampleError(f"{place}: expected {_DOTA_LINE}, got {line[:200]!r}")
        polygon = _polygon(fields[:numbers], place, _DOTA_LINE)
        difficult = _is_difficult((*fields, "0")[numbers + 1], place)
        objects.append(OrientedObject(polygon, fields[numbers], difficult))
    return objects


def parse_dior_xml(text: str, name: str) -> list[OrientedObject]:
    """Objects of a DIOR-R annotation: `object` elements with a `name` and the corners in `robndbox`.

    Raises:
        SampleError: if the file is not XML, or an object lacks its name or a corner or has an invalid number.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise SampleError(f"{name}: not XML: {error}") from error
    objects = []
    for number, element in enumerate(root.iter("object"), start=1):
        place, category = f"{name}, object {number}", element.findtext("name")
        values = [element.findtext(f"robndbox/{corner}") for corner in _DIOR_CORNERS]
        if category is None or None in values:
            raise SampleError(f"{place}: expected {_DIOR_OBJECT}")
        polygon = _polygon([value.strip() for value in values], place, _DIOR_OBJECT)
        difficult = _is_difficult((element.findtext("difficult") or "").strip() or "0", place)
        objects.append(OrientedObject(polygon, category.strip(), difficult))
    return objects


def _polygon(fields: Sequence[str], place: str, form: str) -> tuple[float, ...]:
    """Corners as numbers; `form` says in an error what was expected.

    Raises:
        SampleError: if one is not a finite decimal number.
    """
    for field in fields:
        if not _NUMBER.fullmatch(field) or not math.isfinite(float(field)):
            raise SampleError(f"{place}: expected {form}, but {field[:50]!r} is not a number")
    return tuple(map(float, fields))


def _is_difficult(field: str, place: str) -> bool:
    """Whether an object is marked as difficult.

    Raises:
        SampleError: if the mark is not 0, 1 or 2.
    """
    if field not in _DIFFICULT:
        raise SampleError(f"{place}: difficult is {field[:50]!r}, expected 0, 1 or 2")
    return _DIFFICULT[field]


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
    polygons = np.array([found.four_corners for found in kept], dtype=np.float64).reshape(-1, 8)
    return {
        "obb": polygons_to_boxes(polygons).astype(np.float32).tolist(),
        "polygon": polygons.astype(np.float32).tolist(),
        "category": [ids[found.category.lower()] for found in kept],
        "difficult": [found.difficult for found in kept],
    }
