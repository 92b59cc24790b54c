"""Reading points with the class on the ground, and the class of a map under each."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...scenes.class_maps import ClassMap
from .sampling import REFERENCE

if TYPE_CHECKING:
    from rasterio.crs import CRS

__all__ = ["ReferencePoints", "classes_under", "is_point_file", "read_points"]

_WGS84 = "EPSG:4326"
_DEGREES = (("longitude", "latitude"), ("lon", "lat"), ("lng", "lat"))
_SHOWN = 12
_BAND_PIXELS = 2**22


@dataclass(frozen=True)
class ReferencePoints:
    """Points with a class.

    Attributes:
        x, y: float64 `(n,)` in the CRS of the map, or in pixels where it has none.
        class_ids: int64 `(n,)`.
        notes: what was left out, a sentence each.
    """

    x: np.ndarray
    y: np.ndarray
    class_ids: np.ndarray
    notes: tuple[str, ...]


def is_point_file(path: str | Path) -> bool:
    """Whether a reference is a table of points: a CSV file, or a vector file whose geometries are points."""
    if Path(path).suffix.lower() == ".csv":
        return True
    if Path(path).suffix.lower() not in (".gpkg", ".geojson", ".json", ".shp", ".fgb"):
        return False
    from pyogrio import read_info
    from pyogrio.errors import DataSourceError

    try:
        return str(read_info(path)["geometry_type"]).startswith("Point")
    except DataSourceError as error:
        raise OSError(f"{path} cannot be read: {error}") from error


def read_points(
    path: str | Path, class_map: ClassMap, classes: Mapping[str, int], attribute: str | None = None
) -> ReferencePoints:
    """Read points.

    Args:
        path: CSV with `x` and `y` (as the map has them) or `longitude` and `latitude`; or a vector file of points.
        class_map: the open map.
        classes: the class id of each value of the attribute.
        attribute: field of the class; `reference` if left out.

    Raises:
        FileNotFoundError, OSError: the file cannot be read.
        ValueError: a field is missing, a value is no class, coordinates are no numbers, or no point has a class.
    """
    field = attribute or REFERENCE
    read = _read_csv if Path(path).suffix.lower() == ".csv" else _read_vector
    x, y, values, crs = read(Path(path), field)
    has_class = np.array([bool(value) for value in values], dtype=bool)
    notes = []
    if not has_class.all():
        notes.append(f"{(~has_class).sum():,} of {len(values):,} points have no {field} yet and are left out")
    if not has_class.any():
        raise ValueError(f"no point of {path} has a {field}: fill in the class that is on the ground")
    unknown = Counter(value for value in values if value and value not in classes)
    if unknown:
        shown = ", ".join(f"{value} ({number})" for value, number in unknown.most_common(_SHOWN))
        raise ValueError(f"{path}: {field} is no class of the map: {shown}; classes: {', '.join(classes)}")
    if crs is not None:
        x, y = _in_map(x, y, crs, class_map, path)
    ids = np.array([classes[value] for value in values[has_class]], dtype=np.int64)
    return ReferencePoints(x[has_class], y[has_class], ids, tuple(notes))


def classes_under(class_map: ClassMap, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The class of the map at each point, int64 `(n,)`; -1 outside of the map and where it holds no data."""
    from affine import Affine

    columns, rows = ~(class_map.transform or Affine.identity()) * (x, y)
    columns, rows = np.floor(columns).astype(np.int64), np.floor(rows).astype(np.int64)
    inside = (columns >= 0) & (columns < class_map.width) & (rows >= 0) & (rows < class_map.height)
    found = np.full(len(x), -1, dtype=np.int64)
    for top, ids in class_map.bands(max(1, _BAND_PIXELS // class_map.width)):
        here = np.flatnonzero(inside & (rows >= top) & (rows < top + len(ids)))
        values = ids[rows[here] - top, columns[here]]
        found[here] = np.where(values == class_map.nodata, -1, values) if class_map.nodata is not None else values
    return found


_Table = tuple[np.ndarray, np.ndarray, np.ndarray, "CRS | str | None"]


def _read_csv(path: Path, field: str) -> _Table:
    """x, y and the class as text; with a CRS where they are degrees."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names, rows = list(reader.fieldnames or ()), list(reader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error.reason}") from error
    pair, crs = ("x", "y"), None
    if not {"x", "y"} <= set(names):
        pair = next((pair for pair in _DEGREES if set(pair) <= set(names)), None)
        crs = _WGS84
    if pair is None or field not in names:
        raise ValueError(
            f"{path} has the columns {', '.join(names) or 'none'}; expected x and y, or longitude and latitude, and "
            f"{field} (another name: --attribute)"
        )
    try:
        x, y = (np.array([float(row[name]) for row in rows]) for name in pair)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {' and '.join(pair)} must be numbers ({error})") from None
    return x, y, np.array([(row[field] or "").strip() for row in rows], dtype=object), crs


def _read_vector(path: Path, field: str) -> _Table:
    import shapely
    from pyogrio.errors import DataSourceError
    from pyogrio.raw import read
    from rasterio.crs import CRS

    try:
        metadata, _, geometry, columns = read(path)
    except DataSourceError as error:
        raise OSError(f"{path} cannot be read as points: {error}") from error
    names = metadata["fields"].tolist()
    if field not in names:
        raise ValueError(f"{path} has no attribute {field!r}; its attributes: {', '.join(names) or 'none'}")
    if metadata["crs"] is None:
        raise ValueError(f"{path} says nothing of its coordinates (no CRS), so that it cannot be laid over a map")
    places = shapely.get_coordinates(shapely.from_wkb(geometry))
    if len(places) != len(geometry):
        raise ValueError(f"{path} holds {len(geometry)} features with {len(places)} places; expected one point each")
    values = columns[names.index(field)]
    texts = ["" if value is None or value != value else str(value).strip() for value in values]
    return places[:, 0], places[:, 1], np.array(texts, dtype=object), CRS.from_user_input(metadata["crs"])


def _in_map(
    x: np.ndarray, y: np.ndarray, crs: CRS | str, class_map: ClassMap, path: str | Path
) -> tuple[np.ndarray, np.ndarray]:
    from rasterio.warp import transform

    if class_map.crs is None:
        raise ValueError(f"{class_map.path} has no CRS, so that the points of {path} cannot be laid over it")
    moved = transform(crs, class_map.crs, x, y)
    return np.asarray(moved[0]), np.asarray(moved[1])
