"""Files of polygons, of classes or of objects, written batch by batch: GeoJSON as text, GeoPackage with pyogrio.

GeoJSON is in longitude and latitude (WGS84), as RFC 7946 wants it; GeoPackage is in the CRS of the scene. What has no
CRS stays in the units of its transform, or in pixels, x to the right and y down, and GeoJSON says so in a member
`coordinates`.
"""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import numpy as np

from ..files.atomic import atomic_file, temporary_folder
from ..imaging.rasters import require_geo
from .qgis_styles import store_layer_style

if TYPE_CHECKING:
    from rasterio.crs import CRS

__all__ = ["Fields", "Rings", "VectorWriter", "coordinates_of", "require_vector_file", "vector_file"]

_DEGREE_DECIMALS = 8  # a millimetre
_PIXEL_DECIMALS = 4

Rings = Sequence[np.ndarray]
"""A polygon: its shell and then its holes, each float64 `(corners, 2)`, x and y; closed or not."""

Fields = Mapping[str, Sequence[Any]]
"""What a file says of polygons besides their outlines, a sequence of as many values by name."""


class VectorWriter(Protocol):
    """An open file of polygons."""

    def write(self, polygons: Sequence[Rings], fields: Fields) -> None:
        """Append polygons, which are in the CRS of the scene, with their fields.

        Raises:
            OSError: the file cannot be written.
            ValueError: the CRS gives no longitude and latitude for a corner.
        """
        ...


@contextmanager
def vector_file(
    path: Path,
    crs: CRS | None,
    has_transform: bool,
    layer: str,
    fields: Mapping[str, type],
    style: Callable[[], str] | None = None,
) -> Iterator[VectorWriter]:
    """Open a file of polygons for writing; it gets its name when the block ends well, and is removed otherwise.

    Args:
        path: `.geojson` or `.gpkg`. An existing file is replaced.
        crs: of the polygons; None where the scene has none.
        has_transform: whether the coordinates are those of a map, and not pixels.
        layer: name of the layer of a GeoPackage.
        fields: names and types (`int`, `float`, `str`, or `list` for lists of numbers) of what is written of each.
        style: gives the style of QGIS for the layer, when all is written; GeoJSON has no place for one.

    Raises:
        ImportError, IsADirectoryError, ValueError: as `require_vector_file`.
        OSError: the file cannot be written.
    """
    require_vector_file(path)
    # A folder, because GDAL wants the right suffix and writes a journal next to the file.
    with atomic_file(path) as finished, temporary_folder(finished) as folder:
        written = folder / path.name
        with _OPENERS[path.suffix.lower()](written, crs, has_transform, layer, fields) as writer:
            yield writer
        if style is not None and path.suffix.lower() == ".gpkg":
            store_layer_style(written, layer, style())
        written.replace(finished)


def require_vector_file(path: Path) -> None:
    """Find out before any work whether polygons can be written to a file of that name.

    Raises:
        ImportError: the package for it is missing.
        IsADirectoryError: the path is a folder.
        ValueError: for an unknown suffix; the message lists the known ones.
    """
    if path.suffix.lower() not in _OPENERS:
        raise ValueError(f"polygons are written to {', '.join(_OPENERS)}, got {path}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected the name of a file to write")
    if path.suffix.lower() == ".gpkg":
        require_geo("writing GeoPackage (GeoJSON needs nothing more)", "pyogrio")


def coordinates_of(path: Path, crs: CRS | None, has_transform: bool) -> str:
    """What the coordinates in a file are, for people."""
    if crs is None:
        return "units of a map without CRS" if has_transform else "pixels, x right, y down"
    if path.suffix.lower() == ".geojson":
        return "longitude and latitude (WGS84)"
    code = crs.to_epsg()
    return "the CRS of the scene" if code is None else f"EPSG:{code}, as the scene"


@contextmanager
def _open_geojson(
    path: Path, crs: CRS | None, has_transform: bool, layer: str, fields: Mapping[str, type]
) -> Iterator[VectorWriter]:
    head: dict[str, Any] = {"type": "FeatureCollection"}
    if crs is None:
        head["coordinates"] = coordinates_of(path, crs, has_transform)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(head)[:-1] + ', "features": [')
        yield _GeoJsonWriter(file, crs, None if has_transform else _PIXEL_DECIMALS)
        file.write("\n]}\n")


class _GeoJsonWriter:
    """RFC 7946: degrees, shells counter-clockwise where y points up, holes clockwise. One feature per line."""

    def __init__(self, file: TextIO, crs: CRS | None, decimals: int | None) -> None:
        self._file, self._crs, self._decimals = file, crs, decimals
        self._separator = "\n"

    def write(self, polygons: Sequence[Rings], fields: Fields) -> None:
        rows = zip(*fields.values(), strict=True)
        for polygon, row in zip(self._on_the_globe(polygons), rows, strict=True):
            rings = [_closed(ring, clockwise=number > 0).tolist() for number, ring in enumerate(polygon)]
            feature = {
                "type": "Feature",
                "properties": dict(zip(fields, row, strict=True)),
                "geometry": {"type": "Polygon", "coordinates": rings},
            }
            self._file.write(self._separator + json.dumps(feature, ensure_ascii=False))
            self._separator = ",\n"

    def _on_the_globe(self, polygons: Sequence[Rings]) -> Sequence[Rings]:
        """The polygons in the coordinates of the file, rounded to what they can tell."""
        if self._crs is None:
            if self._decimals is None:
                return polygons
            return [[np.round(ring, self._decimals) for ring in rings] for rings in polygons]
        if not polygons:
            return []
        flat = [ring for rings in polygons for ring in rings]
        degrees = np.round(_to_degrees(np.concatenate(flat), self._crs), _DEGREE_DECIMALS)
        parts = iter(np.split(degrees, np.cumsum([len(ring) for ring in flat])[:-1]))
        return [[next(parts) for _ in rings] for rings in polygons]


def _to_degrees(corners: np.ndarray, crs: CRS) -> np.ndarray:
    """Longitude and latitude `(n, 2)` of points in a CRS."""
    from rasterio._err import CPLE_BaseError  # GDAL's own words, which rasterio hands on as they are
    from rasterio.errors import CRSError
    from rasterio.warp import transform

    try:
        longitude, latitude = transform(crs, "EPSG:4326", corners[:, 0], corners[:, 1])
        degrees = np.stack([longitude, latitude], axis=1)
    except (CRSError, CPLE_BaseError) as error:
        raise ValueError(f"{_LOST}: {error}") from error
    if not np.isfinite(degrees).all():
        wrong = corners[~np.isfinite(degrees).all(axis=1)][0].tolist()
        raise ValueError(f"{_LOST}, such as for {wrong}")
    return degrees


_LOST = "GeoJSON needs longitude and latitude, which the CRS of the scene does not give; choose GeoPackage (.gpkg)"


def _closed(ring: np.ndarray, clockwise: bool) -> np.ndarray:
    """A ring whose last corner is its first, turning the way that is asked for (y up)."""
    if not np.array_equal(ring[0], ring[-1]):
        ring = np.concatenate([ring, ring[:1]])
    x, y = (ring - ring[0]).T  # small numbers, so that the area does not drown in rounding
    is_clockwise = np.dot(x[:-1], y[1:]) - np.dot(y[:-1], x[1:]) < 0
    return ring if is_clockwise == clockwise else ring[::-1]


@contextmanager
def _open_geopackage(
    path: Path, crs: CRS | None, has_transform: bool, layer: str, fields: Mapping[str, type]
) -> Iterator[VectorWriter]:
    writer = _GeoPackageWriter(path, crs, layer, fields)
    writer.write([], {name: [] for name in fields})  # a scene without polygons gives a file too
    yield writer


class _GeoPackageWriter:
    """One layer in the CRS of the scene."""

    def __init__(self, path: Path, crs: CRS | None, layer: str, fields: Mapping[str, type]) -> None:
        self._path, self._layer, self._fields = path, layer, fields
        self._crs = None if crs is None else crs.to_wkt()

    def write(self, polygons: Sequence[Rings], fields: Fields) -> None:
        from pyogrio.errors import DataLayerError, DataSourceError
        from pyogrio.raw import write

        geometry = np.empty(len(polygons), dtype=object)
        geometry[:] = [_well_known_binary(rings) for rings in polygons]
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="'crs' was not provided")
                write(
                    self._path,
                    geometry=geometry,
                    field_data=[_column(fields[name], kind) for name, kind in self._fields.items()],
                    fields=np.array(list(self._fields)),
                    geometry_type="Polygon",
                    crs=self._crs,
                    layer=self._layer,
                    driver="GPKG",
                    append=self._path.exists(),
                )
        except (DataLayerError, DataSourceError) as error:
            raise OSError(f"{self._path.name} cannot be written as a GeoPackage: {error}") from error


def _column(values: Sequence[Any], kind: type) -> np.ndarray:
    """Values of a field as GDAL takes them; lists of numbers become JSON."""
    if kind is list:
        values = [json.dumps(value) for value in values]
    return np.array(values, dtype={int: np.int64, float: np.float64}.get(kind, object))


def _well_known_binary(rings: Rings) -> bytes:
    """A polygon in the binary form of Simple Features, little endian."""
    parts = [struct.pack("<BII", 1, 3, len(rings))]
    for number, ring in enumerate(rings):
        corners = _closed(np.asarray(ring, dtype="<f8"), clockwise=number > 0)
        parts += [struct.pack("<I", len(corners)), np.ascontiguousarray(corners).tobytes()]
    return b"".join(parts)


_Opener = Callable[[Path, "CRS | None", bool, str, Mapping[str, type]], AbstractContextManager[VectorWriter]]

_OPENERS: dict[str, _Opener] = {".geojson": _open_geojson, ".gpkg": _open_geopackage}
