"""Colours of classes from files: JSON, CSV and the styles of QGIS."""

import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .palettes import Color

__all__ = ["read_palette"]

_HEX = re.compile(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
_NAME_COLUMNS = ("label", "class", "name")
_COLOR_COLUMNS = ("color", "colour")


def read_palette(path: str | Path, labels: Sequence[str]) -> list[Color]:
    """The colour of each class from a file; what the file says of other classes does not matter.

    Colours are `"#rrggbb"`, or red, green and blue from 0 to 255.

    - JSON: an object of names to colours, a list of colours in the order of the classes, or the description that
      `s5-hf predict` writes beside a map.
    - CSV with a head: a column `label`, `class` or `name`, and a column `color`, or `red`, `green` and `blue`.
    - QML: a QGIS style of a raster with a palette, or of polygons in categories.

    Args:
        path: a file with the suffix `.json`, `.csv` or `.qml`.
        labels: names of the classes 0, 1, ...; they are found in the file without regard to case.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be understood, or gives some class no colour; names them.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"a palette is read from {', '.join(_READERS)}, got {path}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no palette {path}")
    try:
        colors = reader(path.read_text(encoding="utf-8-sig"), labels)
    except (ElementTree.ParseError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a palette: {error}") from error
    known = {name.strip().lower(): color for name, color in colors.items()}
    missing = [label for label in labels if label.strip().lower() not in known]
    if missing:
        names = ", ".join(colors) or "no class"
        raise ValueError(f"{path} gives no colour for {', '.join(missing)}; it has colours for {names}")
    return [known[label.strip().lower()] for label in labels]


def _from_json(text: str, labels: Sequence[str]) -> dict[str, Color]:
    content = json.loads(text)
    if isinstance(content, dict) and isinstance(content.get("id2label"), dict) and "palette" in content:
        return {name: _color(content["palette"][int(key)]) for key, name in content["id2label"].items()}
    if isinstance(content, list):
        return dict(zip(labels, map(_color, content), strict=False))
    if not isinstance(content, dict):
        raise ValueError("expected an object of names to colours, or a list of colours")
    return {str(name): _color(value) for name, value in content.items()}


def _from_csv(text: str, labels: Sequence[str]) -> dict[str, Color]:
    rows = list(csv.DictReader(text.splitlines(), skipinitialspace=True))
    columns = {name.strip().lower(): name for name in (rows[0] if rows else {}) if name}
    name_column = next((columns[name] for name in _NAME_COLUMNS if name in columns), None)
    color_column = next((columns[name] for name in _COLOR_COLUMNS if name in columns), None)
    parts = [columns[name] for name in ("red", "green", "blue") if name in columns]
    if name_column is None or (color_column is None and len(parts) < 3):
        raise ValueError(f"expected columns label and color, or label, red, green and blue, got {', '.join(columns)}")
    if color_column is not None:
        return {row[name_column]: _color(row[color_column]) for row in rows}
    return {row[name_column]: _color([int(row[part]) for part in parts]) for row in rows}


def _from_qml(text: str, labels: Sequence[str]) -> dict[str, Color]:
    root = ElementTree.fromstring(text)  # Python's parser fetches nothing, and expat limits entities that grow
    entries = root.findall(".//paletteEntry")
    if entries:
        return {entry.attrib["label"]: _color(entry.attrib["color"]) for entry in entries}
    symbols = {symbol.attrib["name"]: _symbol_color(symbol) for symbol in root.findall(".//symbols/symbol")}
    categories = [category for category in root.findall(".//category") if category.get("value")]
    if not categories:
        raise ValueError("expected a style of a raster with a palette, or of polygons in categories")
    names = [category.get("label") or category.attrib["value"] for category in categories]
    return {name: symbols[category.attrib["symbol"]] for name, category in zip(names, categories, strict=True)}


def _symbol_color(symbol: ElementTree.Element) -> Color:
    """The fill of a symbol: QGIS writes options as attributes of Option, older versions of prop."""
    for option in symbol.iter("Option"):
        if option.get("name") == "color":
            return _color([int(part) for part in option.attrib["value"].split(",")[:3]])
    for option in symbol.iter("prop"):
        if option.get("k") == "color":
            return _color([int(part) for part in option.attrib["v"].split(",")[:3]])
    raise ValueError(f"the symbol {symbol.get('name')} has no colour")


def _color(value: Any) -> Color:
    if isinstance(value, str):
        found = _HEX.fullmatch(value.strip())
        if found is None:
            raise ValueError(f"expected a colour such as #1f78b4, got {value!r}")
        return int(found[1], 16), int(found[2], 16), int(found[3], 16)
    parts = list(value)
    if len(parts) < 3 or not all(type(part) is int and 0 <= part <= 255 for part in parts[:3]):
        raise ValueError(f"expected red, green and blue from 0 to 255, got {value!r}")
    return parts[0], parts[1], parts[2]


_READERS: Mapping[str, Callable[[str, Sequence[str]], dict[str, Color]]] = {
    ".json": _from_json,
    ".csv": _from_csv,
    ".qml": _from_qml,
}
