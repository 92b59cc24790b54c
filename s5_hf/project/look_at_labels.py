"""A look at polygons: which field holds the class, which values there are, and which scenes they lie on."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..dataset_builders.coordinate_systems import points_in_crs
from ..preparation.scenes.vector_layer import PolygonLayer, fields_of, read_polygons

__all__ = ["FoundScenes", "look_at_labels"]

USUAL_NAMES = ("class", "label", "category", "type", "landuse", "landcover", "code", "name")
"""Names of fields that usually hold the class, the likeliest first."""
MOST_CLASSES = 40


@dataclass(frozen=True)
class FoundScenes:
    """Scenes, and a file of polygons that lie on them.

    Attributes:
        labels: the file.
        scenes: folders, where polygons lie on some of their images, or single files.
        attribute: field that holds the class; `None` where no field looks like one.
        classes: its values, the most frequent first.
        count: of the scenes.
    """

    labels: Path
    scenes: tuple[Path, ...]
    attribute: str | None
    classes: tuple[str, ...]
    count: int


def look_at_labels(labels: Path, folders: Sequence[tuple[Path, Sequence[Path]]]) -> FoundScenes:
    """What a file of polygons says, and on which scenes.

    Args:
        labels: the file.
        folders: folders of images, with their images.

    Raises:
        FileNotFoundError: if the polygons lie on none of the images.
        ImportError, OSError, ValueError: if it cannot be read.
    """
    layer = read_polygons(str(labels))
    found: list[Path] = []
    count = 0
    for folder, images in folders:
        below = [image for image in images if lies_on(layer, image)]
        found += [folder] if len(below) == len(images) > 1 else below
        count += len(below)
    if not found:
        looked_at = ", ".join(str(folder) for folder, _ in folders) or "no images"
        raise FileNotFoundError(f"the polygons of {labels} lie on none of the georeferenced images in {looked_at}")
    attribute, classes = likely_classes(labels)
    return FoundScenes(labels, tuple(found), attribute, classes or ("other", labels.stem), count)


def lies_on(layer: PolygonLayer, image: Path) -> bool:
    """Whether the extents of the polygons and of an image have ground in common; no for an image without a CRS."""
    import numpy as np
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            scene = rasterio.open(image)
        with scene:
            if scene.crs is None:
                return False
            left, bottom, right, top = scene.bounds
            crs = scene.crs.to_wkt()
    except RasterioIOError:
        return False
    west, south, east, north = layer.bounds
    corners = np.array([[west, south], [west, north], [east, south], [east, north]], dtype=float)
    moved = points_in_crs(corners, layer.crs, crs)
    (low_x, low_y), (high_x, high_y) = moved.min(axis=0), moved.max(axis=0)
    return low_x < right and high_x > left and low_y < top and high_y > bottom


def likely_classes(labels: Path) -> tuple[str | None, tuple[str, ...]]:
    """The field that looks most like one of classes, and its values."""
    fields = fields_of(str(labels), None)
    ranked = sorted(fields, key=lambda name: USUAL_NAMES.index(name.lower()) if name.lower() in USUAL_NAMES else 99)
    for name in ranked:
        values = read_polygons(str(labels), attribute=name).values
        counts = Counter(str(value) for value in values if value is not None and value == value)
        if 1 <= len(counts) <= MOST_CLASSES and (len(counts) < len(values) or name.lower() in USUAL_NAMES):
            return name, tuple(value for value, _ in counts.most_common())
    return None, ()
