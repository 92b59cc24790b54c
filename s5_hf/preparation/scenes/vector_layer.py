"""Polygons from GeoPackage, GeoJSON, Shapefile and what else GDAL reads: checked, and moved to the CRS of a scene."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dataset_builders.coordinate_systems import points_in_crs, same_crs

if TYPE_CHECKING:
    import shapely

__all__ = ["PolygonLayer", "VECTOR_SUFFIXES", "is_vector_file", "read_polygons"]

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".gml", ".kml", ".sqlite", ".parquet", ".zip")
"""What counts as a file of polygons; everything else is taken for a raster."""

# Straight sides of polygons become curves in another CRS. At this length the curve leaves the side by centimetres.
_LONGEST_SIDE_METRES = 1000.0
_LONGEST_SIDE_DEGREES = 0.01


@dataclass(frozen=True, eq=False)
class PolygonLayer:
    """The polygons of one layer.

    Attributes:
        path: of the file.
        crs: of the coordinates, as well-known text.
        geometries: object `(n,)` of valid shapely polygons and multipolygons, none empty.
        values: object `(n,)`, the attribute of each; None where no attribute was asked for.
        notes: what was repaired or left out, a sentence each.
    """

    path: str
    crs: str
    geometries: np.ndarray
    values: np.ndarray | None
    notes: tuple[str, ...] = ()
    _moved: dict[str, tuple[np.ndarray, Any]] = field(default_factory=dict, repr=False)

    def in_crs(self, crs: str) -> tuple[np.ndarray, shapely.STRtree]:
        """The geometries in another CRS, and a tree to search them; kept for the next call.

        Raises:
            ValueError: the coordinates do not exist there.
        """
        import shapely

        if crs not in self._moved:
            moved = self.geometries if same_crs(crs, self.crs) else self._reprojected(crs)
            self._moved[crs] = moved, shapely.STRtree(moved)
        return self._moved[crs]

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north of all polygons in the CRS of the layer."""
        import shapely

        return tuple(shapely.total_bounds(self.geometries).tolist())

    def _reprojected(self, crs: str) -> np.ndarray:
        import shapely

        longest = longest_side(self.crs)
        dense = shapely.segmentize(self.geometries, longest)
        moved = shapely.transform(dense, lambda places: points_in_crs(places, self.crs, crs))
        return only_polygons(moved)


def read_polygons(path: str, layer: str | None = None, attribute: str | None = None) -> PolygonLayer:
    """Read the polygons of a layer.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: a package of the extra `geo` is missing.
        OSError: it cannot be read.
        ValueError: there are several layers and none is chosen, no such layer or attribute (lists those there), no
            CRS, no polygons, or geometries that are not polygons.
    """
    import shapely

    metadata, geometry, columns = _read(path, _layer_of(path, layer), attribute)
    if metadata["crs"] is None:
        raise ValueError(
            f"{path} says nothing of its coordinates (no CRS), so that it cannot be laid over scenes. Say it once, "
            "for example with: ogr2ogr -a_srs EPSG:25832 with_crs.gpkg labels.gpkg"
        )
    if len(geometry) == 0:
        raise ValueError(f"{path} holds no polygons: the layer is empty")
    geometries = shapely.force_2d(shapely.from_wkb(geometry))
    here = ~shapely.is_missing(geometries) & ~shapely.is_empty(geometries)
    _require_polygons(path, geometries[here])
    notes = [f"{path}: {(~here).sum():,} of {len(here):,} features have no geometry and are left out"]
    notes = notes if not here.all() else []
    invalid = ~shapely.is_valid(geometries) & here
    if invalid.any():
        notes.append(f"{path}: {invalid.sum():,} of {len(here):,} polygons cross themselves and were repaired")
    geometries = only_polygons(geometries[here])
    values = columns[here] if columns is not None else None
    return PolygonLayer(path, _text_of_crs(metadata["crs"]), geometries, values, tuple(notes))


def is_vector_file(path: str | Path) -> bool:
    """Whether the name is that of a file of polygons, by its suffix."""
    return str(path).lower().endswith(VECTOR_SUFFIXES)


def longest_side(crs: str) -> float:
    """How long a side may be in the units of a CRS to stay nearly straight in another."""
    from rasterio.crs import CRS

    parsed = CRS.from_wkt(crs)
    return _LONGEST_SIDE_DEGREES if parsed.is_geographic else _LONGEST_SIDE_METRES / parsed.linear_units_factor[1]


def only_polygons(geometries: np.ndarray) -> np.ndarray:
    """Valid geometries; of what a repair makes, the parts that cover ground."""
    import shapely

    repaired = geometries.copy()
    for index in np.flatnonzero(~shapely.is_valid(geometries)):
        parts = shapely.get_parts(shapely.make_valid(geometries[index]))
        repaired[index] = shapely.union_all([part for part in shapely.get_parts(parts) if part.area > 0])
    return repaired


def _layer_of(path: str, layer: str | None) -> str:
    from pyogrio import list_layers
    from pyogrio.errors import DataSourceError

    if not Path(path).is_file() and not str(path).startswith("/vsi"):
        raise FileNotFoundError(f"there is no file of polygons {path}")
    try:
        names = [str(name) for name, kind in list_layers(path) if kind is not None or layer is not None]
    except DataSourceError as error:
        raise OSError(f"{path} cannot be read as polygons: {error}") from error
    if layer is None and len(names) != 1:
        raise ValueError(
            f"{path} has {len(names)} layers with geometry{': ' if names else ''}{', '.join(names)}; choose one "
            "(layer=..., --layer)"
        )
    if layer is not None and layer not in names:
        raise ValueError(f"{path} has no layer {layer!r}; it has: {', '.join(names)}")
    return layer or names[0]


def _read(path: str, layer: str, attribute: str | None) -> tuple[dict[str, Any], np.ndarray, np.ndarray | None]:
    """The description of a layer, its geometries as well-known binary, and the values of the attribute."""
    from pyogrio import read_info
    from pyogrio.errors import DataLayerError, DataSourceError
    from pyogrio.raw import read

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # GDAL's remarks on curves and rings
            fields = [str(name) for name in read_info(path, layer=layer)["fields"]]
            if attribute is not None and attribute not in fields:
                raise ValueError(
                    f"{path} has no attribute {attribute!r}; its attributes: {', '.join(fields) or 'none'}"
                )
            metadata, _, geometry, columns = read(path, layer=layer, columns=[] if attribute is None else [attribute])
    except (DataSourceError, DataLayerError) as error:
        raise OSError(f"{path} cannot be read as polygons: {error}") from error
    if geometry is None:
        raise ValueError(f"the layer {layer} of {path} is a table without geometries")
    return metadata, geometry, None if attribute is None else columns[0].astype(object)


def _require_polygons(path: str, geometries: np.ndarray) -> None:
    import shapely

    kinds = np.array([kind.name.lower() for kind in map(shapely.GeometryType, shapely.get_type_id(geometries))])
    others = kinds[~np.isin(kinds, ["polygon", "multipolygon"])]
    if len(others):
        raise ValueError(
            f"{path} holds {len(others):,} geometries of {len(kinds):,} that are no polygons, such as a {others[0]}; "
            "labels cover ground: give lines and points a width first (in QGIS: Vector, Geoprocessing, Buffer)"
        )


def _text_of_crs(crs: str) -> str:
    from rasterio.crs import CRS

    return CRS.from_user_input(crs).to_wkt()


def fields_of(path: str, layer: str | None) -> Sequence[str]:
    """The attributes of a layer."""
    from pyogrio import read_info

    return [str(name) for name in read_info(path, layer=_layer_of(path, layer))["fields"]]
