"""Road graphs as lines in GeoJSON: in pixels of an image, or in the coordinates of a map.

Vertices with equal coordinates are one node. Lines that cross without a common vertex are not joined there: one may
be a bridge.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .band_files import open_bands
from .coordinate_systems import crs_text, points_in_crs
from .errors import SampleError
from .images import is_tiff
from .road_graph import RoadGraph, numbered_rows

if TYPE_CHECKING:
    from rasterio.crs import CRS

__all__ = ["LONGITUDE_LATITUDE", "PIXELS", "GeoLines", "ImageGrid", "graph_of_lines", "image_grid", "parse_lines"]

PIXELS = "pixels, x right, y down"
"""What the member `coordinates` of a GeoJSON file says where positions are pixels."""

LONGITUDE_LATITUDE = "OGC:CRS84"
"""The CRS of GeoJSON files that name none (RFC 7946)."""


@dataclass(frozen=True)
class GeoLines:
    """Lines of a file.

    Attributes:
        lines: each float64 `(vertices, 2)`, x and y in the coordinates of the file; single points have one vertex.
        crs: the CRS that the file names, in any form that rasterio understands; `None` where it names none.
        in_pixels: whether the file says that its coordinates are pixels.
    """

    lines: tuple[np.ndarray, ...]
    crs: str | None = None
    in_pixels: bool = False


@dataclass(frozen=True)
class ImageGrid:
    """Where an image lies.

    Attributes:
        size: (width, height) in pixels.
        crs: of a georeferenced image, else `None`.
        transform: GDAL's six numbers from pixels to coordinates, as rasterio's `Affine`; `None` without a CRS.
    """

    size: tuple[int, int]
    crs: CRS | None = None
    transform: Any = None


def parse_lines(text: str, name: str) -> GeoLines:
    """Lines and points of a GeoJSON text.

    Raises:
        SampleError: if it is not GeoJSON, holds other geometries, or has a position that is no pair of finite numbers.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise SampleError(f"{name}: not JSON: {error}") from error
    if not isinstance(content, dict) or "type" not in content:
        raise SampleError(f"{name}: not GeoJSON, expected an object with a type such as FeatureCollection")
    lines: list[np.ndarray] = []
    for number, geometry in enumerate(_geometries(content, name), start=1):
        lines.extend(_lines_of(geometry, f"{name}, geometry {number}"))
    return GeoLines(tuple(lines), _named_crs(content, name), content.get("coordinates") == PIXELS)


def _geometries(content: dict, name: str) -> Iterable[dict]:
    features = content.get("features") if content["type"] == "FeatureCollection" else [content]
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise SampleError(f"{name}: expected a list of features")
    geometries = (
        feature.get("geometry") if feature.get("type") == "Feature" else feature
        for feature in features  # features may lack a geometry
    )
    return [geometry for geometry in geometries if geometry is not None]


def _lines_of(geometry: Any, place: str) -> list[np.ndarray]:
    kind, coordinates = (geometry.get("type"), geometry.get("coordinates")) if isinstance(geometry, dict) else (0, 0)
    wrap = {
        "Point": lambda: [[coordinates]],
        "MultiPoint": lambda: [[point] for point in coordinates],
        "LineString": lambda: [coordinates],
        "MultiLineString": lambda: coordinates,
    }
    if kind not in wrap:
        raise SampleError(f"{place}: expected lines or points, got {kind or 'nothing'}")
    try:
        found = [np.array([position[:2] for position in line], dtype=np.float64) for line in wrap[kind]()]
    except (TypeError, ValueError, OverflowError) as error:
        raise SampleError(f"{place}: a {kind} whose positions are not numbers ({error})") from error
    found = [line for line in found if line.size]
    for line in found:
        if line.ndim != 2 or line.shape[1] != 2 or not np.isfinite(line).all():
            raise SampleError(f"{place}: a {kind} with a position that is not two finite numbers")
    return found


def _named_crs(content: dict, name: str) -> str | None:
    """The CRS in the form of GeoJSON 2008, which GDAL still writes."""
    crs = content.get("crs")
    if crs is None:
        return None
    try:
        return str(crs["properties"]["name"])
    except (KeyError, TypeError) as error:
        raise SampleError(f"{name}: its crs names no coordinate reference system: {str(crs)[:100]}") from error


def image_grid(image: bytes | str, size: tuple[int, int], name: str) -> ImageGrid:
    """Where an encoded image lies, given as bytes or as a local path; only TIFF files can say."""
    if not is_tiff(image):
        return ImageGrid(size)
    with open_bands(image, name) as dataset:
        return ImageGrid(size, dataset.crs, dataset.transform) if dataset.crs else ImageGrid(size)


def graph_of_lines(lines: GeoLines, grid: ImageGrid, name: str) -> RoadGraph:
    """The graph of lines on an image, in its pixels, repaired as `RoadGraph.repaired` does.

    Args:
        lines: of a file. Where the image has a CRS they are in the one that the file names, or else in longitude and
            latitude, and are reprojected; where it has none they are in pixels.
        grid: of the image.
        name: for warnings and errors.

    Raises:
        SampleError: the lines are in a CRS and the image has none; the CRS is not known; or no part lies on the image.
    """
    nodes, edges = joined_lines(lines.lines)
    if grid.crs is None and lines.crs is not None and not lines.in_pixels:
        raise SampleError(
            f"{name}: its lines are in {lines.crs}, but the image is not georeferenced; give lines in pixels"
        )
    if grid.crs is not None and not lines.in_pixels:
        try:
            nodes = to_pixels(nodes, lines.crs or LONGITUDE_LATITUDE, grid)
        except ValueError as error:
            raise SampleError(f"{name}: {error}") from error
    try:
        return RoadGraph.repaired(nodes, edges, name, grid.size)
    except ValueError as error:
        raise SampleError(f"{error}{_swap_hint(lines, grid)}") from error


def _swap_hint(lines: GeoLines, grid: ImageGrid) -> str:
    """Says so if lines in a CRS would lie on the image with x and y swapped."""
    if grid.crs is None or lines.in_pixels:
        return ""
    swapped = joined_lines(lines.lines)[0][:, ::-1]
    try:
        places = to_pixels(swapped, lines.crs or LONGITUDE_LATITUDE, grid)
    except ValueError:
        return ""
    fits = ((places >= 0) & (places <= grid.size)).all()
    return "; all would lie on it if the first and second coordinate were swapped" if fits else ""


def joined_lines(lines: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes `(n, 2)` and edges `(m, 2)` of lines; vertices with equal coordinates are one node.

    Nodes are in the order of their first appearance. Edges are as the lines have them, with self-loops and repeats.
    """
    if not lines:
        return np.zeros((0, 2)), np.zeros((0, 2), dtype=np.int64)
    vertices = np.concatenate(lines) + 0.0  # no -0.0
    first, number = numbered_rows(vertices)
    starts = np.cumsum([0, *(len(line) for line in lines)])
    within_line = np.ones(len(vertices), dtype=bool)
    within_line[starts[1:] - 1] = False
    begin = np.flatnonzero(within_line)
    return vertices[first], np.stack([number[begin], number[begin + 1]], axis=1)


def to_pixels(nodes: np.ndarray, crs: str, grid: ImageGrid) -> np.ndarray:
    """Positions `(n, 2)` in a CRS as pixels of a georeferenced image.

    Raises:
        ValueError: the CRS is not known, or does not hold a position.
    """
    if not len(nodes):
        return nodes
    x, y = points_in_crs(nodes, crs_text(crs), grid.crs.to_wkt()).T
    inverse = ~grid.transform
    return np.stack([inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f], axis=1)
