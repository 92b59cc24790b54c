"""Styles of QGIS (QML) that give classes their names and colours: of a raster, and of a layer of polygons.

QGIS opens `<name>.qml` beside a raster by itself, and reads the styles of a GeoPackage from its table `layer_styles`.
"""

import sqlite3
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

from ..imaging.palettes import Color

__all__ = ["StyledClass", "polygon_style", "raster_style", "store_layer_style"]

StyledClass = tuple[str, Color]
"""The name and the colour of a class."""

_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
_VERSION = "3.28.0"

# The table as QGIS makes it: https://docs.qgis.org, "Storing styles in the database".
_LAYER_STYLES = """
CREATE TABLE IF NOT EXISTS layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256),
  f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
  useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
  update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))
"""


def raster_style(classes: Mapping[int, StyledClass]) -> str:
    """The style of a raster of class ids."""
    root = ElementTree.Element("qgis", version=_VERSION, styleCategories="Symbology")
    pipe = ElementTree.SubElement(root, "pipe")
    renderer = ElementTree.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1", nodataColor=""
    )
    palette = ElementTree.SubElement(renderer, "colorPalette")
    for class_id, (label, (red, green, blue)) in classes.items():
        color = f"#{red:02x}{green:02x}{blue:02x}"
        ElementTree.SubElement(palette, "paletteEntry", value=str(class_id), label=label, color=color, alpha="255")
    return _text(root)


def polygon_style(classes: Mapping[int, StyledClass], field: str = "class_id") -> str:
    """The style of polygons whose `field` holds the class id."""
    root = ElementTree.Element("qgis", version=_VERSION, styleCategories="Symbology")
    renderer = ElementTree.SubElement(
        root, "renderer-v2", type="categorizedSymbol", attr=field, symbollevels="0", forceraster="0"
    )
    categories = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, (class_id, (label, color)) in enumerate(classes.items()):
        ElementTree.SubElement(
            categories, "category", value=str(class_id), symbol=str(number), label=label, render="true", type="long"
        )
        symbol = ElementTree.SubElement(symbols, "symbol", type="fill", name=str(number), alpha="1")
        layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0"})
        options = ElementTree.SubElement(layer, "Option", type="Map")
        for name, value in _fill(color).items():
            ElementTree.SubElement(options, "Option", name=name, value=value, type="QString")
    return _text(root)


def store_layer_style(geopackage: Path, layer: str, style: str) -> None:
    """Make `style` the default style of a layer of a GeoPackage.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        with sqlite3.connect(geopackage) as database:
            column = database.execute(
                "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (layer,)
            ).fetchone()[0]
            database.execute(_LAYER_STYLES)
            database.execute(
                "INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier, description) "
                "VALUES ('layer_styles', 'attributes', 'layer_styles', '')"
            )
            database.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, "
                "styleName, styleQML, useAsDefault, description) VALUES ('', '', ?, ?, 'classes', ?, 1, '')",
                (layer, column, style),
            )
        database.close()
    except sqlite3.Error as error:
        raise OSError(f"{geopackage.name} cannot be written as a GeoPackage: {error}") from error


def _fill(color: Color) -> dict[str, str]:
    red, green, blue = color
    return {
        "color": f"{red},{green},{blue},255",
        "outline_color": "35,35,35,255",
        "outline_style": "solid",
        "outline_width": "0.1",
        "outline_width_unit": "MM",
        "style": "solid",
    }


def _text(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return _DOCTYPE + ElementTree.tostring(root, encoding="unicode") + "\n"
