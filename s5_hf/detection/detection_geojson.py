"""Oriented boxes as polygons in GeoJSON, for geographic information systems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..atomic import atomic_file
from ..modeling.oriented_boxes import oriented_boxes_to_corners
from .scene_detections import SceneDetections

if TYPE_CHECKING:
    from rasterio.crs import CRS

__all__ = ["write_geojson_detections"]

_DEGREE_DECIMALS = 9  # a tenth of a millimetre
_DECIMALS = 4


def write_geojson_detections(found: SceneDetections, path: Path) -> str:
    """Write a polygon per object, with `class_id`, `label`, `score` and `obb` (in pixels of the scene).

    Coordinates are those of the scene's CRS, which is named in the member `crs` (of GeoJSON 2008, which GDAL and QGIS
    read). A CRS without an EPSG code is left for longitude and latitude, the default of GeoJSON. Without a CRS
    coordinates are those of the scene's transform, or pixels; the member `coordinates` says so.

    Returns:
        What the coordinates are, a sentence.
    """
    corners = oriented_boxes_to_corners(found.boxes).numpy()
    head: dict[str, Any] = {"type": "FeatureCollection"}
    if found.transform is not None:
        x, y = found.transform @ (corners[..., 0], corners[..., 1])
        corners = np.stack([x, y], axis=-1)
    decimals = _DECIMALS
    if found.crs is None:
        head["coordinates"] = "pixels, x right, y down"
        if found.transform is not None:
            head["coordinates"] = "units of a map without CRS"
        meaning = f"has no CRS: coordinates are {head['coordinates']}"
    elif (code := found.crs.to_epsg()) is not None:
        head["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{code}"}}
        decimals = _DEGREE_DECIMALS if found.crs.is_geographic else _DECIMALS
        meaning = f"is in EPSG:{code}, as its scene"
    else:
        corners, decimals = _to_degrees(corners, found.crs), _DEGREE_DECIMALS
        meaning = "is in longitude and latitude (WGS 84), as the CRS of the scene has no EPSG code"
    features = [
        {
            "type": "Feature",
            "properties": {
                "class_id": label,
                "label": found.class_names[label],
                "score": round(score, 4),
                "obb": [*(round(value, 2) for value in box[:4]), round(box[4], 5)],
            },
            "geometry": {"type": "Polygon", "coordinates": [_ring(outline, decimals)]},
        }
        for outline, box, score, label in zip(
            corners, found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        )
    ]
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        lines = ",\n".join(json.dumps(feature, ensure_ascii=False) for feature in features)
        file.write(json.dumps(head)[:-1] + ', "features": [\n' + lines + "\n]}\n")
    return f"{path} {meaning}"


def _ring(outline: np.ndarray, decimals: int) -> list[list[float]]:
    """A closed ring, counter-clockwise where y points up, as RFC 7946 asks for."""
    x, y = outline[:, 0], outline[:, 1]
    if np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) < 0:
        outline = outline[::-1]
    ring = np.round(outline, decimals).tolist()
    return [*ring, ring[0]]


def _to_degrees(corners: np.ndarray, crs: CRS) -> np.ndarray:
    from rasterio.warp import transform

    longitude, latitude = transform(crs, "EPSG:4326", corners[..., 0].ravel(), corners[..., 1].ravel())
    return np.stack([longitude, latitude], axis=-1).reshape(corners.shape)
