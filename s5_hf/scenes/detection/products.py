"""What shows the objects of a scene: a picture, and polygons for geographic information systems."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ...imaging.drawing import draw_oriented_boxes
from ...imaging.palettes import default_palette
from ...imaging.sheets import add_legend
from ...modeling.oriented_boxes import oriented_boxes_to_corners
from ..reduction import MAX_OVERLAY_SIDE, reduce_scene, reduction_factor
from ..source import SceneSource
from ..vector_files import coordinates_of, vector_file
from .scene_detections import SceneDetections

__all__ = ["draw_detections", "write_detection_polygons"]

_FIELDS = {"class_id": int, "label": str, "score": float, "obb": list}


def draw_detections(found: SceneDetections, scene: SceneSource) -> Image.Image:
    """The scene, read once more from top to bottom, with at most `MAX_OVERLAY_SIDE` pixels a side, and the boxes.

    The legend has the classes that were found and their numbers.
    """
    factor = reduction_factor(scene.width, scene.height, MAX_OVERLAY_SIDE)
    picture = Image.fromarray(reduce_scene(scene, factor))
    boxes: Tensor = found.boxes / found.boxes.new_tensor([factor] * 4 + [1])
    palette = default_palette(len(found.class_names))
    # The best last, so that it lies on top.
    drawn = draw_oriented_boxes(picture, boxes.flip(0).numpy(), found.labels.flip(0).numpy(), palette)
    present = np.unique(found.labels.numpy()).tolist()
    if not present:
        return add_legend(drawn, ["nothing found"], [(255, 255, 255)])
    counts = found.counts()
    names = [f"{found.class_names[label]} ({counts[found.class_names[label]]:,})" for label in present]
    return add_legend(drawn, names, [palette[label] for label in present])


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
