"""Oriented boxes as polygons for geographic information systems: GeoJSON and GeoPackage."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...modeling.oriented_boxes import oriented_boxes_to_corners
from ..vector_files import coordinates_of, vector_file
from .scene_detections import SceneDetections

__all__ = ["write_detection_polygons"]

_FIELDS = {"class_id": int, "label": str, "score": float, "obb": list}


def write_detection_polygons(found: SceneDetections, path: Path) -> str:
    """Write a polygon per object, with `class_id`, `label`, `score` and `obb` (in pixels of the scene).

    Coordinates are those of [`vector_file`]: longitude and latitude in GeoJSON, the scene's CRS in GeoPackage (where
    `obb` is JSON).

    Args:
        found: the objects.
        path: `.geojson` or `.gpkg`.

    Returns:
        What the coordinates are, a sentence.

    Raises:
        ImportError, OSError, ValueError: as `vector_file`.
    """
    corners = oriented_boxes_to_corners(found.boxes).numpy()
    if found.transform is not None:
        x, y = found.transform @ (corners[..., 0], corners[..., 1])
        corners = np.stack([x, y], axis=-1)
    labels = found.labels.tolist()
    fields = {
        "class_id": labels,
        "label": [found.class_names[label] for label in labels],
        "score": [round(score, 4) for score in found.scores.tolist()],
        "obb": [[*(round(value, 2) for value in box[:4]), round(box[4], 5)] for box in found.boxes.tolist()],
    }
    has_transform = found.transform is not None
    with vector_file(path, found.crs, has_transform, "detections", _FIELDS) as writer:
        writer.write([[outline] for outline in corners], fields)
    lack = "has no CRS: coordinates are" if found.crs is None else "is in"
    return f"{path} {lack} {coordinates_of(path, found.crs, has_transform)}"
