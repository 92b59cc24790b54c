"""A scene and its class maps as one HTML file to look at: no network, no server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...files.atomic import write_text
from ...imaging.palettes import Color
from ...imaging.scene_files import is_remote
from ...pages.parts import image_data
from ..class_maps import ClassMap, open_class_map
from ..reading import SceneReading
from ..reduction import NO_CLASS, reduce_class_map, reduce_scene, reduction_factor
from ..segmentation.areas import ClassArea, pixel_areas
from ..source import SceneSource, open_scene
from .layers import MapLayer, Mistakes, class_numbers, map_layer
from .page import ViewerFacts, viewer_page

__all__ = ["MAX_SIZE", "ViewerReport", "write_viewer"]

MAX_SIZE = 4096
"""Longer side of the embedded pictures in pixels by default."""

_SIZES = (64, 16384)  # beyond the larger one no browser draws a picture
_MAX_CLASSES = 255  # of a grey PNG, less the value for no data
_JPEG_QUALITY = 84


@dataclass(frozen=True)
class ViewerReport:
    """What was written.

    Attributes:
        path: the HTML file.
        size: its bytes.
        factor: pixels of the scene per embedded pixel, along each side; 1 if it is shown in full.
    """

    path: Path
    size: int
    factor: int


def write_viewer(
    result: str | Path,
    output: str | Path | None = None,
    image: str | Path | None = None,
    bands: Sequence[int] | None = None,
    max_size: int = MAX_SIZE,
    title: str | None = None,
    maximum_pixels: int | None = None,
    others: Sequence[str | Path] = (),
    reference: str | Path | None = None,
) -> ViewerReport:
    """Write a page that shows a scene and its class map on top of each other with a divider between them.

    Scenes are read row by row, so that memory does not grow with them. A scene whose longer side is beyond
    `max_size` is reduced by a whole factor: the image by means, the map by the commonest class. Areas are those of
    the whole map.

    Args:
        result: a class map, GeoTIFF or PNG; names, colours and the scene as `open_class_map` finds them.
        output: the page; by default beside the class map, under its stem.
        image: the scene, of the size of the class map; by default the one that the class map names.
        bands: of the scene, counted from 1, as red, green and blue; by default those that the class map names.
        max_size: of the embedded pictures, 64 to 16384 pixels.
        title: heading; by default the name of the class map.
        maximum_pixels: of a file that is decoded as a whole, as `open_scene` and `open_class_map` take it.
        others: further class maps of the scene, to choose from on either side of the divider.
        reference: a class map that is right: the page can show it, and where `result` differs from it.

    Raises:
        FileNotFoundError: if the class map or the scene is not there.
        ImportError: if a file needs rasterio, which is not installed.
        OSError: if a file cannot be read or written.
        ValueError: if it is not a class map, the scene is unknown, the scene or a further map has another size, or
            `max_size` is out of range.
    """
    result = Path(result)
    if not _SIZES[0] <= max_size <= _SIZES[1]:
        raise ValueError(f"max_size must lie between {_SIZES[0]} and {_SIZES[1]} pixels, got {max_size}")
    output = result.with_suffix(".html") if output is None else Path(output)
    if output.is_dir():
        raise IsADirectoryError(f"{output} is a folder, expected the name of a file to write")
    further_maps = [*others, *([] if reference is None else [reference])]
    with open_class_map(result, maximum_pixels) as class_map:
        scene_name = _scene_of(class_map, image)
        factor = reduction_factor(class_map.width, class_map.height, max_size)
        reading = SceneReading(bands=bands or _bands_of(class_map), maximum_pixels=maximum_pixels)
        with open_scene(scene_name, reading=reading) as scene:
            _require_size(scene, f"the scene {scene_name}", class_map)
            for other in further_maps:
                with open_class_map(other, maximum_pixels) as further:
                    _require_size(further, f"the class map {other}", class_map)
            picture = Image.fromarray(reduce_scene(scene, factor))
        ids, rows = reduce_class_map(class_map, factor)
        areas = _areas(class_map, rows)
        labels, colors = [area.label for area in areas], [class_map.color_of(area.id) for area in areas]
        layers = [MapLayer(result.name, class_numbers(ids, [area.id for area in areas], range(len(areas))))]
        for other in further_maps:
            with open_class_map(other, maximum_pixels) as further:
                layers.append(map_layer(further, factor, labels, colors))
        mistakes = None if reference is None else _mistakes_layer(class_map, reference, factor, maximum_pixels)
        if len(labels) > _MAX_CLASSES:
            raise ValueError(f"the page shows up to {_MAX_CLASSES} classes, these maps have {len(labels)}")
        areas += [ClassArea(NO_CLASS, label, 0, 0.0, _no_area(areas)) for label in labels[len(areas) :]]
        facts = _facts(class_map, areas, colors, factor, title or result.name, str(scene_name))
        scene_picture = image_data(picture, quality=_JPEG_QUALITY, optimize=True)
        page = viewer_page(facts, scene_picture, layers, mistakes)
    write_text(output, page)
    return ViewerReport(output, output.stat().st_size, factor)


def _require_size(other: SceneSource | ClassMap, name: str, class_map: ClassMap) -> None:
    if (other.width, other.height) != (class_map.width, class_map.height):
        raise ValueError(
            f"{name} has {other.width} x {other.height} pixels, the class map {class_map.path} "
            f"{class_map.width} x {class_map.height}: expected the same"
        )


def _mistakes_layer(class_map: ClassMap, reference: str | Path, factor: int, maximum_pixels: int | None) -> MapLayer:
    """Where the map is wrong, named after the share of the pixels."""
    with open_class_map(reference, maximum_pixels) as truth:
        mistakes = Mistakes(class_map, truth)
        ids, _ = reduce_class_map(mistakes, factor)
    return MapLayer(f"Errors ({mistakes.wrong / max(1, mistakes.compared):.1%})", class_numbers(ids, [0, 1], [0, 1]))


def _no_area(areas: Sequence[ClassArea]) -> float | None:
    """What a class that does not occur covers: nothing, in the units of the others."""
    return None if any(area.square_metres is None for area in areas) else 0.0


def _scene_of(class_map: ClassMap, image: str | Path | None) -> str | Path:
    if image is not None:
        return image
    if class_map.source is None:
        raise ValueError(f"{class_map.path} does not say which scene it was made from; give the image")
    if not is_remote(class_map.source) and not Path(class_map.source).is_file():
        raise FileNotFoundError(
            f"{class_map.source}, the scene that {class_map.path} was made from, is not there; give the image"
        )
    return class_map.source


def _bands_of(class_map: ClassMap) -> list[int] | None:
    """The first three of the bands that the model saw, if they are so many: then they make a picture."""
    bands = class_map.sidecar.get("source_bands") or []
    return list(bands[:3]) if len(bands) >= 3 else None


def _areas(class_map: ClassMap, rows: dict[int, np.ndarray]) -> list[ClassArea]:
    """One entry per class that occurs or has a name, in the order of the ids."""
    row_areas = pixel_areas(class_map.crs, class_map.transform, class_map.height)
    ids = sorted({*rows, *class_map.id2label})
    if len(ids) > _MAX_CLASSES:
        raise ValueError(f"the page shows up to {_MAX_CLASSES} classes, {class_map.path} has {len(ids)}")
    empty = np.zeros(class_map.height, dtype=np.int64)
    total = max(1, sum(int(counts.sum()) for counts in rows.values()))
    areas = []
    for class_id in ids:
        counts = rows.get(class_id, empty)
        square_metres = None if row_areas is None else float(counts @ row_areas)
        pixels = int(counts.sum())
        areas.append(ClassArea(class_id, class_map.label_of(class_id), pixels, pixels / total, square_metres))
    return areas


def _facts(
    class_map: ClassMap, areas: list[ClassArea], colors: list[Color], factor: int, title: str, scene: str
) -> ViewerFacts:
    transform = class_map.transform
    task, model = class_map.sidecar.get("task"), class_map.sidecar.get("model")
    return ViewerFacts(
        title=title,
        scene=Path(scene).name,
        width=class_map.width,
        height=class_map.height,
        factor=factor,
        areas=areas,
        colors=colors,
        crs=None if class_map.crs is None else class_map.crs.to_string(),
        transform=None if transform is None else tuple(transform)[:6],
        task=None if task is None else str(task),
        model=None if model is None else str(model),
    )
