"""Polygons of the classes of a map, as GeoJSON or GeoPackage.

The map is read in bands of rows. What touches the border between two bands is joined there: exact outlines do not
depend on the height of a band, simplified ones keep their pixels' corners where they cross its border.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ...imaging.rasters import require_geo
from ..class_maps import ClassMap, open_class_map
from ..qgis_styles import polygon_style
from ..vector_files import VectorWriter, require_vector_file, vector_file
from .coverage import region_corners, simplified_coverage
from .square_corners import squared_outline

if TYPE_CHECKING:
    from shapely import Polygon

    from ..source import SceneSource

__all__ = [
    "ClassPolygon",
    "band_regions",
    "ground_area",
    "map_areas",
    "on_the_map",
    "rings_of",
    "trace_polygons",
    "write_polygons",
]

_EARTH_RADIUS = 6371007.2  # metres; the sphere with the area of the WGS84 ellipsoid
_BAND_PIXELS = 2**24
_BATCH = 512
_FIELDS = {"class_id": int, "label": str, "area": float}


@dataclass(frozen=True)
class ClassPolygon:
    """One connected region.

    Attributes:
        class_id: of its pixels.
        outline: exact, in pixels, x to the right and y down, holes included.
        simplified: the outline simplified together with its neighbours'; None where only exact ones are asked for.
    """

    class_id: int
    outline: Polygon
    simplified: Polygon | None = None


def write_polygons(
    class_map_path: str | Path,
    output_path: str | Path,
    labels: Sequence[str] | None = None,
    classes: Sequence[str | int] | None = None,
    minimum_area: float = 0.0,
    simplify: float | None = None,
    maximum_pixels: int | None = None,
    square_corners: bool = False,
) -> dict[str, int]:
    """Write the regions of a class map as polygons with the fields `class_id`, `label` and `area`.

    A region is a set of pixels of one class that are connected by their sides; holes stay. The memory needed grows
    with one band of rows and with the regions that cross its lower border, not with the map; a PNG is decoded as a
    whole.

    Coordinates: GeoJSON has longitude and latitude (WGS84, RFC 7946) where the map has a CRS; regions are not cut at
    the antimeridian. GeoPackage keeps the CRS of the map. Without a CRS both have the units of the transform, or
    pixels, x to the right and y down, where there is none, and GeoJSON says so in a member `coordinates`.

    Args:
        class_map_path: GeoTIFF or anything rasterio opens, or PNG.
        output_path: `.geojson` or `.gpkg`. An existing file is replaced.
        labels: names of the classes 0, 1, ...; by default those of the map.
        classes: names or ids of the classes to write; by default all. Pixels without data never become polygons.
        minimum_area: smaller regions are left out. In square metres where the map has a CRS, otherwise in the square
            of its units (of pixels, where it has no transform).
        simplify: a length in units of the map: corners whose triangle is smaller than its square are cut off. 0 keeps
            the outlines of the pixels, None is the side of one pixel. A side that two regions share is simplified
            once, so that there are neither gaps nor overlaps. The field `area` is that of the pixels.
        maximum_pixels: of a PNG, which is decoded as a whole; as `open_class_map` takes it.
        square_corners: give regions right angles whose sides follow one direction, as `squared_outline` does; others
            are simplified. Each is looked at alone: sides that two regions share may then differ by about `simplify`.

    Returns:
        The number of polygons by class name, in the order of the ids; 0 for a chosen class without any.

    Raises:
        FileNotFoundError: if there is no such class map.
        ImportError: if a package of the extra `geo` is missing.
        OSError: if a file cannot be read or written.
        ValueError: for an unknown class (the message lists the known), a raster that is not a class map, an unknown
            suffix, a negative area or distance, or square corners without simplification.
    """
    if square_corners and simplify == 0:
        raise ValueError("square corners move outlines: simplify must be above 0")
    for name, value in (("minimum_area", minimum_area), ("simplify", simplify or 0.0)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must not be negative, got {value}")
    require_geo("writing polygons", "rasterio", "shapely")
    output_path = Path(output_path)
    require_vector_file(output_path)
    with open_class_map(class_map_path, maximum_pixels) as class_map:
        if labels is not None:
            class_map.set_labels(labels)
        chosen = None if classes is None else class_map.find_classes(classes)
        tolerance = 1.0 if simplify is None else simplify / _pixel_side(class_map)
        counts = dict.fromkeys(chosen or class_map.id2label, 0)
        is_map = class_map.transform is not None

        def style() -> str:
            return polygon_style({key: (class_map.label_of(key), class_map.color_of(key)) for key in sorted(counts)})

        with vector_file(output_path, class_map.crs, is_map, "polygons", _FIELDS, style) as writer:
            for batch in _batches(trace_polygons(class_map, chosen, tolerance=tolerance, progress=True), _BATCH):
                if square_corners:
                    batch = [_squared(region, class_map, tolerance) for region in batch]
                for class_id in _write_batch(writer, batch, class_map, minimum_area):
                    counts[class_id] = counts.get(class_id, 0) + 1
        return {class_map.label_of(class_id): counts[class_id] for class_id in sorted(counts)}


def trace_polygons(
    class_map: ClassMap,
    classes: Sequence[int] | None = None,
    band_rows: int | None = None,
    tolerance: float = 0.0,
    progress: bool = False,
) -> Iterator[ClassPolygon]:
    """The regions of a class map, in pixels.

    Args:
        class_map: an open one.
        classes: ids to trace; all except `nodata` if left out.
        band_rows: rows that are read at once; by default as many as make 16 million pixels.
        tolerance: of simplified outlines in pixels, as `simplified_coverage` takes it; 0 for exact ones alone.
        progress: whether to show a bar over the rows.
    """
    band_rows = band_rows or max(1, _BAND_PIXELS // class_map.width)
    trace = _exact_regions if tolerance == 0 else partial(_simplified_regions, tolerance=tolerance)
    growing: dict[int, list[ClassPolygon]] = {}  # regions that reach the lower border of the rows read so far
    above = None
    with tqdm(total=class_map.height, desc="polygons", unit="row", disable=not progress or None) as bar:
        for top, ids in class_map.bands(band_rows):
            bottom = top + len(ids)
            touching = growing
            growing = {}
            below = class_map.read_rows(bottom, bottom + 1)[0] if bottom < class_map.height else None
            for region in trace(_Band(top, ids, above, below), class_map.nodata, classes):
                _, first_row, _, last_row = region.outline.bounds
                if first_row == top > 0:
                    touching.setdefault(region.class_id, []).append(region)
                elif last_row == bottom < class_map.height:
                    growing.setdefault(region.class_id, []).append(region)
                else:
                    yield region
            for parts in touching.values():
                for region in _joined(parts):
                    if region.outline.bounds[3] == bottom < class_map.height:
                        growing.setdefault(region.class_id, []).append(region)
                    else:
                        yield region
            above = ids[-1]
            bar.update(len(ids))


def ground_area(outline: Polygon) -> float:
    """Area in square metres of a polygon in degrees (longitude, latitude), on the sphere of the Earth's area.

    Lambert's cylindrical projection keeps areas; sides are straight in it. Against the WGS84 ellipsoid the error is
    below 0.7 %.
    """
    import shapely

    def project(coordinates: np.ndarray) -> np.ndarray:
        longitude, latitude = np.radians(coordinates).T
        return np.stack([_EARTH_RADIUS * longitude, _EARTH_RADIUS * np.sin(latitude)], axis=1)

    return float(shapely.area(shapely.transform(outline, project)))


@dataclass(frozen=True)
class _Band:
    """Rows of a map from `top` on, int32 `(rows, width)`, and the rows next to them, `(width,)` or None."""

    top: int
    ids: np.ndarray
    above: np.ndarray | None
    below: np.ndarray | None


def _exact_regions(band: _Band, nodata: int | None, classes: Sequence[int] | None) -> Iterator[ClassPolygon]:
    """The regions of the chosen classes within one band."""
    return band_regions(band.ids, band.top, _traced_pixels(band.ids, nodata, classes))


def _simplified_regions(
    band: _Band, nodata: int | None, classes: Sequence[int] | None, tolerance: float
) -> Iterator[ClassPolygon]:
    """The same with simplified outlines, which depend on all neighbours, also on those that are not chosen."""
    regions = list(band_regions(band.ids, band.top, np.ones(band.ids.shape, dtype=bool)))
    corners = region_corners(band.ids, band.above, band.below)
    simplified = simplified_coverage([region.outline for region in regions], band.top, corners, tolerance)
    for region, outline in zip(regions, simplified, strict=True):
        if region.class_id != nodata and (classes is None or region.class_id in classes):
            yield ClassPolygon(region.class_id, region.outline, outline)


def band_regions(ids: np.ndarray, top: int, traced: np.ndarray) -> Iterator[ClassPolygon]:
    """The exact regions of the pixels to trace, with rows counted from the top of the map."""
    import rasterio.features
    import shapely
    from affine import Affine
    from shapely.geometry import shape

    shapes = rasterio.features.shapes(ids, mask=traced, connectivity=4, transform=Affine.translation(0, top))
    for geometry, class_id in shapes:
        outline = shape(geometry)
        if not outline.is_valid:  # GDAL lets an outline touch itself in a corner where a hole should
            outline = shapely.make_valid(outline)
        for part in shapely.get_parts(outline):
            yield ClassPolygon(int(class_id), part)


def _traced_pixels(ids: np.ndarray, nodata: int | None, classes: Sequence[int] | None) -> np.ndarray:
    """Which pixels become polygons: those of the chosen classes, never those without data."""
    traced = np.ones(ids.shape, dtype=bool) if classes is None else np.isin(ids, list(classes))
    if nodata is not None:
        traced &= ids != nodata
    return traced


def _joined(parts: Sequence[ClassPolygon]) -> Iterator[ClassPolygon]:
    """Regions of one class joined where they share a side: at the border of a band, where simplified ones are exact.

    All corners there are whole numbers, so that no rounding takes part.
    """
    import shapely

    outlines = shapely.get_parts(shapely.union_all([part.outline for part in parts]))
    inside = shapely.point_on_surface([part.outline for part in parts])
    owners, members = shapely.STRtree(inside).query(outlines, predicate="contains")
    for number, outline in enumerate(outlines):
        pieces = [parts[member].simplified for member in members[owners == number]]
        simplified = None if pieces[0] is None else shapely.union_all(pieces)
        yield ClassPolygon(parts[0].class_id, shapely.simplify(outline, 0.0), simplified)


def _write_batch(
    writer: VectorWriter,
    regions: Sequence[ClassPolygon],
    class_map: ClassMap,
    minimum_area: float,
) -> list[int]:
    """Move regions to the map, measure, drop the small ones and write; the class ids of those written."""
    outlines = on_the_map(np.array([region.outline for region in regions], dtype=object), class_map)
    areas = map_areas(outlines, class_map)
    large = areas >= minimum_area
    class_ids = np.array([region.class_id for region in regions])[large]
    if regions[0].simplified is not None:
        outlines = on_the_map(np.array([region.simplified for region in regions], dtype=object), class_map)
    outlines = outlines[large]
    labels = [class_map.label_of(int(class_id)) for class_id in class_ids]
    fields = {"class_id": class_ids.tolist(), "label": labels, "area": areas[large].round(3).tolist()}
    writer.write([rings_of(outline) for outline in outlines], fields)
    return class_ids.tolist()


def _squared(region: ClassPolygon, class_map: ClassMap, tolerance: float) -> ClassPolygon:
    """A region with right angles where its sides follow one direction."""
    found = squared_outline(region.outline, tolerance, _aspect_at(region.outline, class_map))
    return region if found is None else ClassPolygon(region.class_id, region.outline, found)


def _aspect_at(outline: Polygon, class_map: ClassMap) -> float:
    """The width of a pixel on the ground divided by its height."""
    transform = class_map.transform
    if transform is None:
        return 1.0
    width, height = math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e)
    if class_map.crs is not None and class_map.crs.is_geographic:
        _, latitude = transform @ (outline.centroid.x, outline.centroid.y)
        width *= max(0.01, math.cos(math.radians(latitude)))
    return width / height


def on_the_map(outlines: np.ndarray, class_map: ClassMap | SceneSource) -> np.ndarray:
    """Pixel outlines in the units of the transform of a map or scene."""
    import shapely

    if class_map.transform is None:
        return outlines
    a, b, c, d, e, f = class_map.transform[:6]
    return shapely.transform(outlines, lambda xy: xy @ np.array([[a, d], [b, e]]) + np.array([c, f]))


def map_areas(outlines: np.ndarray, class_map: ClassMap | SceneSource) -> np.ndarray:
    """Areas of outlines `on_the_map`: square metres where it has a CRS, otherwise its own units squared."""
    import shapely

    if class_map.crs is not None and class_map.crs.is_geographic:
        return np.array([ground_area(outline) for outline in outlines])
    projected = class_map.crs is not None and class_map.crs.is_projected
    factor = class_map.crs.linear_units_factor[1] if projected else 1.0
    return shapely.area(outlines) * factor**2


def _pixel_side(class_map: ClassMap) -> float:
    """The mean side of a pixel in units of the map."""
    return 1.0 if class_map.transform is None else math.sqrt(abs(class_map.transform.determinant))


def _batches(regions: Iterator[ClassPolygon], size: int) -> Iterator[list[ClassPolygon]]:
    batch: list[ClassPolygon] = []
    for region in regions:
        batch.append(region)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def rings_of(outline: Polygon) -> list[np.ndarray]:
    """The shell of a polygon and its holes."""
    return [np.asarray(ring.coords) for ring in (outline.exterior, *outline.interiors)]
