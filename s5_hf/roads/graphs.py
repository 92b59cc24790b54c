"""Road graphs in files: GeoJSON and GeoPackage lines, GraphML, and to read only, published pickles.

A line of a file is a road from one crossing or end to the next. Vertices with equal coordinates are one node.
GeoJSON is in longitude and latitude, GeoPackage in the CRS of the scene; without a CRS both are in pixels.
"""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset_builders.coordinate_systems import crs_text, points_in_crs
from ..dataset_builders.graph_lines import LONGITUDE_LATITUDE, PIXELS, GeoLines, ImageGrid, joined_lines, parse_lines
from ..dataset_builders.graph_lines import graph_of_lines as _graph_on_grid
from ..dataset_builders.graph_pickles import parse_pickled_graph
from ..dataset_builders.road_graph import RoadGraph
from ..files.atomic import atomic_file, temporary_folder
from ..imaging.rasters import require_geo
from .networkx_graphs import read_graphml, write_graphml

__all__ = ["GRAPH_SUFFIXES", "READ_SUFFIXES", "RoadGraph", "read_graph", "require_graph_file", "write_graph"]

_LAYER = "roads"
_DEGREE_DECIMALS = 8  # a millimetre


def read_graph(path: str | Path, grid: ImageGrid | None = None) -> RoadGraph:
    """Read a road graph; slips are repaired as `RoadGraph.repaired` does.

    Args:
        path: `.geojson` or `.json`, `.gpkg`, `.graphml`, or `.p`, `.pkl` or `.pickle`: a pickled
            {(row, column): [(row, column)]} as published, which is read without running anything.
        grid: of the image that the graph lies on: lines in a CRS are moved to its pixels and cut at its border.
            Without one, coordinates stay as they are in the file.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: a package for this kind of file is missing.
        OSError, ValueError: the file is not what it should be.
    """
    path = Path(path)
    suffix = require_graph_file(path, READ_SUFFIXES)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if suffix == ".graphml" or suffix in PICKLE_SUFFIXES:
        graph = read_graphml(path) if suffix == ".graphml" else parse_pickled_graph(path.read_bytes(), str(path))
        return graph if grid is None else graph.within(grid.size, str(path))
    lines = read_lines(path)
    if grid is not None:
        return _graph_on_grid(lines, grid, str(path))
    return RoadGraph.repaired(*joined_lines(lines.lines), str(path))


def read_lines(path: Path) -> GeoLines:
    """The lines and points of a GeoJSON or GeoPackage file, in its coordinates.

    Raises:
        OSError, ValueError: as `read_graph`.
    """
    if path.suffix.lower() != ".gpkg":
        try:
            return parse_lines(path.read_text(encoding="utf-8-sig"), str(path))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    return _read_geopackage(path)


def write_graph(
    path: str | Path,
    graph: RoadGraph,
    crs: str | None = None,
    transform: Any = None,
    fields: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a road graph, whole or not at all; an existing file is replaced.

    GeoJSON and GeoPackage get one line per chain of edges between crossings and ends, with its `length` in pixels and
    the means of `fields` weighted by length; isolated nodes are written to GeoJSON as points, and not to GeoPackage.
    GraphML gets the nodes in pixels and the edges one by one.

    Args:
        path: `.geojson`, `.gpkg` or `.graphml`.
        graph: in pixels.
        crs: of the scene, in any form that rasterio understands; `None` for files in pixels.
        transform: the scene's, from pixels to its CRS, as rasterio's `Affine`; needed with a CRS.
        fields: values `(m,)` of the edges by name, such as `confidence`.

    Raises:
        ImportError: a package for this kind of file is missing.
        OSError: the file cannot be written.
        ValueError: another suffix, a CRS without a transform, or fields of another length.
    """
    path, fields = Path(path), dict(fields or {})
    suffix = require_graph_file(path)
    if (crs is None) != (transform is None):
        raise ValueError("a CRS and a transform belong together: give both or neither")
    for name, values in fields.items():
        if np.shape(values) != (len(graph.edges),):
            raise ValueError(
                f"field {name!r} has the shape {np.shape(values)}, but there are {len(graph.edges)} edges"
            )
    with atomic_file(path) as finished, temporary_folder(finished) as folder:
        written = folder / path.name
        if suffix == ".graphml":
            write_graphml(written, graph, fields)
        else:
            wkt = None if crs is None else crs_text(str(crs))
            lines, columns = _chain_lines(graph, fields)
            _WRITERS[suffix](written, [_on_map(line, transform) for line in lines], columns, wkt)
        written.replace(finished)


def require_graph_file(path: Path, known: Sequence[str] | None = None) -> str:
    """The suffix of a file of a road graph, in lower case; `known` are those that can be, by default to write.

    Raises:
        ValueError: there is no such kind; the message lists the known ones.
    """
    suffix, known = path.suffix.lower(), GRAPH_SUFFIXES if known is None else known
    if suffix not in known:
        raise ValueError(f"road graphs are in files {', '.join(known)}, got {path}")
    return suffix


def _chain_lines(
    graph: RoadGraph, fields: Mapping[str, np.ndarray]
) -> tuple[list[np.ndarray], dict[str, list[float]]]:
    """Lines in pixels and the columns of their values; isolated nodes come last, as lines of one vertex."""
    chains = graph.chains()
    row_of = {pair: row for row, (a, b) in enumerate(graph.edges.tolist()) for pair in ((a, b), (b, a))}
    lengths = graph.lengths()
    columns: dict[str, list[float]] = {"length": [], **{name: [] for name in fields}}
    for chain in chains:
        rows = [row_of[pair] for pair in zip(chain[:-1].tolist(), chain[1:].tolist(), strict=True)]
        columns["length"].append(float(lengths[rows].sum()))
        weights = lengths[rows] if lengths[rows].sum() > 0 else None
        for name, values in fields.items():
            columns[name].append(float(np.average(np.asarray(values)[rows], weights=weights)))
    alone = np.flatnonzero(graph.degrees() == 0)
    return [graph.nodes[chain] for chain in [*chains, *alone[:, None]]], columns


def _on_map(line: np.ndarray, transform: Any) -> np.ndarray:
    if transform is None:
        return line
    x, y = line.T
    a, b, c, d, e, f = tuple(transform)[:6]
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)


def _write_geojson(path: Path, lines: list[np.ndarray], columns: dict[str, list[float]], crs: str | None) -> None:
    head: dict[str, Any] = {"type": "FeatureCollection"}
    if crs is None:
        head["coordinates"] = PIXELS
    else:
        flat = np.concatenate([np.zeros((0, 2)), *lines])
        degrees = points_in_crs(flat, crs, crs_text(LONGITUDE_LATITUDE)) if len(flat) else flat
        ends = np.cumsum([len(line) for line in lines])[:-1] if lines else []
        lines = np.split(np.round(degrees, _DEGREE_DECIMALS), ends) if lines else []
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(head)[:-1] + ', "features": [')
        for number, line in enumerate(lines):
            is_line = number < len(rows)
            geometry = (
                {"type": "LineString", "coordinates": line.tolist()}
                if is_line
                else {"type": "Point", "coordinates": line[0].tolist()}
            )
            feature = {"type": "Feature", "properties": rows[number] if is_line else {}, "geometry": geometry}
            file.write((",\n" if number else "\n") + json.dumps(feature))
        file.write("\n]}\n")


def _write_geopackage(path: Path, lines: list[np.ndarray], columns: dict[str, list[float]], crs: str | None) -> None:
    require_geo("writing GeoPackage (GeoJSON needs nothing more)", "pyogrio")
    from pyogrio.errors import DataLayerError, DataSourceError
    from pyogrio.raw import write

    lines = [line for line in lines if len(line) > 1]
    geometry = np.empty(len(lines), dtype=object)
    geometry[:] = [
        struct.pack("<BII", 1, 2, len(line)) + np.ascontiguousarray(line, dtype="<f8").tobytes() for line in lines
    ]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="'crs' was not provided")
            write(
                path,
                geometry=geometry,
                field_data=[np.array(values, dtype=np.float64) for values in columns.values()],
                fields=np.array(list(columns)),
                geometry_type="LineString",
                crs=crs,
                layer=_LAYER,
                driver="GPKG",
            )
    except (DataLayerError, DataSourceError) as error:
        raise OSError(f"{path.name} cannot be written as a GeoPackage: {error}") from error


def _read_geopackage(path: Path) -> GeoLines:
    require_geo("reading GeoPackage (GeoJSON needs nothing more)", "pyogrio", "shapely")
    import shapely
    from pyogrio import list_layers
    from pyogrio.errors import DataLayerError, DataSourceError
    from pyogrio.raw import read

    try:
        names = [str(name) for name, kind in list_layers(path) if kind is not None]
        if len(names) != 1:
            raise ValueError(f"{path} has {len(names)} layers with geometry, expected one: {', '.join(names)}")
        metadata, _, geometry, _ = read(path, layer=names[0], columns=[])
    except (DataSourceError, DataLayerError) as error:
        raise OSError(f"{path} cannot be read as a GeoPackage: {error}") from error
    parts = shapely.get_parts(shapely.force_2d(shapely.from_wkb(geometry)))
    other = [part.geom_type for part in parts if part.geom_type not in ("LineString", "Point")]
    if other:
        raise ValueError(f"{path}: expected lines or points, got {other[0]}")
    lines = tuple(shapely.get_coordinates(part) for part in parts if not part.is_empty)
    crs = metadata["crs"]
    return GeoLines(lines, None if crs is None or "Undefined" in crs else crs)


_WRITERS: Mapping[str, Callable[..., None]] = {
    ".geojson": _write_geojson,
    ".json": _write_geojson,
    ".gpkg": _write_geopackage,
}

GRAPH_SUFFIXES = (*_WRITERS, ".graphml")
"""What is written."""

PICKLE_SUFFIXES = (".p", ".pkl", ".pickle")
READ_SUFFIXES = (*GRAPH_SUFFIXES, *PICKLE_SUFFIXES)
