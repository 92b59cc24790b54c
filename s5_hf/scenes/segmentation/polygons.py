"""Polygons of the classes of a map, as GeoJSON or GeoPackage.

The map is read in bands of rows. What touches the border between two bands is joined there, so that the polygons do
not depend on the height of a band.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ...imaging.rasters import require_geo
from ..class_maps import ClassMap, open_class_map
from ..vector_files import VectorWriter, require_vector_file, vector_file

if TYPE_CHECKING:
    from shapely import Polygon

__all__ = ["ClassPolygon", "ground_area", "trace_polygons", "write_polygons"]

_EARTH_RADIUS = 6371007.2  # metres; the sphere with the area of the WGS84 ellipsoid
_BAND_PIXELS = 2**24
_BATCH = 512
_FIELDS = {"class_id": int, "label": str, "area": float}


@dataclass(frozen=True)
class ClassPolygon:
    """One connected region: its class and its outline in pixels, x to the right and y down, holes included."""

    class_id: int
    outline: Polygon


def write_polygons(
    class_map_path: str | Path,
    output_path: str | Path,
    labels: Sequence[str] | None = None,
    classes: Sequence[str | int] | None = None,
    minimum_area: float = 0.0,
    simplify: float | None = None,
    maximum_pixels: int | None = None,
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
        simplify: how far an outline may move, in units of the map; 0 keeps the outlines of the pixels, None is the
            side of one pixel. Every outline stays free of self-intersections; outlines of neighbours are simplified
            one by one and may overlap or leave gaps of as much.
        maximum_pixels: of a PNG, which is decoded as a whole; as `open_class_map` takes it.

    Returns:
        The number of polygons by class name, in the order of the ids; 0 for a chosen class without any.

    Raises:
        FileNotFoundError: if there is no such class map.
        ImportError: if a package of the extra `geo` is missing.
        OSError: if a file cannot be read or written.
        ValueError: for an unknown class (the message lists the known), a raster that is not a class map, an unknown
            suffix, or a negative area or distance.
    """
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
        tolerance = _pixel_side(class_map) if simplify is None else simplify
        counts = dict.fromkeys(chosen or class_map.id2label, 0)
        with vector_file(output_path, class_map.crs, class_map.transform is not None, "polygons", _FIELDS) as writer:
            for batch in _batches(trace_polygons(class_map, chosen, progress=True), _BATCH):
                for class_id in _write_batch(writer, batch, class_map, minimum_area, tolerance):
                    counts[class_id] = counts.get(class_id, 0) + 1
        return {class_map.label_of(class_id): counts[class_id] for class_id in sorted(counts)}


def trace_polygons(
    class_map: ClassMap, classes: Sequence[int] | None = None, band_rows: int | None = None, progress: bool = False
) -> Iterator[ClassPolygon]:
    """The regions of a class map, in pixels, exact.

    Args:
        class_map: an open one.
        classes: ids to trace; all except `nodata` if left out.
        band_rows: rows that are read at once; by default as many as make 16 million pixels.
        progress: whether to show a bar over the rows.
    """
    import shapely

    band_rows = band_rows or max(1, _BAND_PIXELS // class_map.width)
    growing: dict[int, list[Polygon]] = {}  # regions that reach the lower border of the rows read so far
    with tqdm(total=class_map.height, desc="polygons", unit="row", disable=not progress or None) as bar:
        for top, ids in class_map.bands(band_rows):
            bottom = top + len(ids)
            touching = growing
            growing = {}
            for region in _band_regions(ids, top, _traced_pixels(ids, class_map.nodata, classes)):
                _, first_row, _, last_row = region.outline.bounds
                if first_row == top > 0:
                    touching.setdefault(region.class_id, []).append(region.outline)
                elif last_row == bottom < class_map.height:
                    growing.setdefault(region.class_id, []).append(region.outline)
                else:
                    yield region
            for class_id, parts in touching.items():
                for outline in _joined(parts):
                    if outline.bounds[3] == bottom < class_map.height:
                        growing.setdefault(class_id, []).append(outline)
                    else:
                        yield ClassPolygon(class_id, shapely.simplify(outline, 0.0))
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


def _band_regions(ids: np.ndarray, top: int, traced: np.ndarray) -> Iterator[ClassPolygon]:
    """The regions within one band, with rows counted from the top of the map."""
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


def _joined(parts: Sequence[Polygon]) -> list[Polygon]:
    """Regions joined where they share a side. All corners are whole numbers, so that no rounding takes part."""
    import shapely

    return list(shapely.get_parts(shapely.union_all(list(parts))))


def _write_batch(
    writer: VectorWriter,
    regions: Sequence[ClassPolygon],
    class_map: ClassMap,
    minimum_area: float,
    tolerance: float,
) -> list[int]:
    """Move regions to the map, measure, drop the small ones, simplify and write; the class ids of those written."""
    import shapely

    outlines = _on_the_map(np.array([region.outline for region in regions], dtype=object), class_map)
    areas = _areas(outlines, class_map)
    large = areas >= minimum_area
    class_ids = np.array([region.class_id for region in regions])[large]
    outlines = outlines[large]
    simplified = shapely.simplify(outlines, tolerance, preserve_topology=True)
    kept = shapely.is_valid(simplified) & ~shapely.is_empty(simplified)
    outlines = np.where(kept, simplified, outlines)
    labels = [class_map.label_of(int(class_id)) for class_id in class_ids]
    fields = {"class_id": class_ids.tolist(), "label": labels, "area": areas[large].round(3).tolist()}
    writer.write([_rings(outline) for outline in outlines], fields)
    return class_ids.tolist()


def _on_the_map(outlines: np.ndarray, class_map: ClassMap) -> np.ndarray:
    """Pixel outlines in the units of the map's transform."""
    import shapely

    if class_map.transform is None:
        return outlines
    a, b, c, d, e, f = class_map.transform[:6]
    return shapely.transform(outlines, lambda xy: xy @ np.array([[a, d], [b, e]]) + np.array([c, f]))


def _areas(outlines: np.ndarray, class_map: ClassMap) -> np.ndarray:
    """Square metres where the map has a CRS, otherwise its own units squared."""
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


def _rings(outline: Polygon) -> list[np.ndarray]:
    """The shell of a polygon and its holes."""
    return [np.asarray(ring.coords) for ring in (outline.exterior, *outline.interiors)]
