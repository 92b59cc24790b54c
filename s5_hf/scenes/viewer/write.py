"""A scene and its class maps as a page to look at: no network, no server."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ...files.atomic import atomic_file, temporary_folder
from ...imaging.palettes import Color
from ...imaging.scene_files import is_remote
from ...pages.parts import image_data
from ..class_maps import ClassMap, open_class_map
from ..reading import SceneReading
from ..reduction import NO_CLASS, reduce_class_map, reduce_scene, reduction_factor
from ..scene_pairs import open_pair
from ..segmentation.areas import ClassArea, pixel_areas
from ..source import SceneSource, open_scene
from .layers import MAX_CLASSES, MapLayer, map_layer, mistakes_layer, number_table
from .line_layer import LineLayer, line_layer
from .page import PageTiles, ViewerFacts, viewer_page
from .tiles import (
    TilePyramid,
    embedded_tiles,
    put_in_place,
    pyramid_factors,
    require_replaceable,
    tile_folder,
    write_tiles,
)

__all__ = ["MAX_SIZE", "TILES_IN_PAGE", "ViewerReport", "write_viewer"]

MAX_SIZE = 4096
"""Longer side of the overview in pixels by default."""

TILES_IN_PAGE = 24.0
"""Megabytes of tiles that are kept inside the page by default."""

_SIZES = (64, 16384)  # beyond the larger one no browser draws a picture
_JPEG_QUALITY = 84
_LARGEST_PAGE = 400  # megabytes of tiles; larger strings are beyond what browsers hold


@dataclass(frozen=True)
class ViewerReport:
    """What was written.

    Attributes:
        path: the HTML file.
        size: its bytes.
        factor: pixels of the scene per pixel of the overview, along each side; 1 if the overview is the whole scene.
        tiles: number of tiles that show the scene in full where the overview does not.
        folder: where the tiles are; None if they are inside the page, or there are none.
    """

    path: Path
    size: int
    factor: int
    tiles: int = 0
    folder: Path | None = None


def write_viewer(
    result: str | Path,
    output: str | Path | None = None,
    image: str | Path | None = None,
    before: str | Path | None = None,
    bands: Sequence[int] | None = None,
    max_size: int = MAX_SIZE,
    title: str | None = None,
    maximum_pixels: int | None = None,
    others: Sequence[str | Path] = (),
    reference: str | Path | None = None,
    tiles_in_page: float = TILES_IN_PAGE,
    overwrite: bool = False,
    lines: str | Path | None = None,
) -> ViewerReport:
    """Write a page that shows a scene and its class map on top of each other with a divider between them.

    The page opens with an overview. Where a scene's longer side is beyond `max_size`, the overview is reduced by a
    whole factor, the image by means and the map by the commonest class, and tiles down to the full scene are written,
    which the page loads where the user zooms in: inside the page, or in the folder `<page>_viewer_tiles` beside it.
    Areas are those of the whole map. Scenes are read a band of rows at a time, so that memory does not grow with
    their height.

    Args:
        result: a class map, GeoTIFF or PNG; names, colours and the scene as `open_class_map` finds them.
        output: the page, replaced if it is there; by default beside the class map, under its stem.
        image: the scene, of the size of the class map; by default the one that the class map names.
        before: an earlier scene of the place, for a page that shows both dates, left and right of the divider. The
            scene is then resampled to its grid if it has another. By default, without an `image`, the earlier one of
            the two that a map of changes names.
        bands: of the scene, counted from 1, as red, green and blue; by default those that the class map names.
        max_size: of the overview, 64 to 16384 pixels.
        title: heading; by default the name of the class map.
        maximum_pixels: of a file that is decoded as a whole, as `open_scene` and `open_class_map` take it.
        others: further class maps of the scene, to choose from on either side of the divider.
        reference: a class map that is right: the page can show it, and where `result` differs from it.
        tiles_in_page: megabytes of tiles up to which they are kept inside the page; 0 for always a folder.
        overwrite: replace a folder of tiles that belongs to a former page of that name.
        lines: a file of lines on the scene, such as roads: GeoJSON, GeoPackage or GraphML, as `line_layer` reads it.

    Raises:
        FileExistsError: if there is a folder of the tiles' name, and `overwrite` is not set or it holds other things.
        FileNotFoundError: if the class map or the scene is not there.
        ImportError: if a file needs rasterio, which is not installed.
        OSError: if a file cannot be read or written.
        ValueError: if it is not a class map, the scene is unknown, the scene or a further map has another size, or
            `max_size` or `tiles_in_page` is out of range.
    """
    result = Path(result)
    if not _SIZES[0] <= max_size <= _SIZES[1]:
        raise ValueError(f"max_size must lie between {_SIZES[0]} and {_SIZES[1]} pixels, got {max_size}")
    if not 0 <= tiles_in_page <= _LARGEST_PAGE:
        raise ValueError(f"tiles_in_page must lie between 0 and {_LARGEST_PAGE} megabytes, got {tiles_in_page}")
    output = result.with_suffix(".html") if output is None else Path(output)
    if output.is_dir():
        raise IsADirectoryError(f"{output} is a folder, expected the name of a file to write")
    require_replaceable(tile_folder(output), overwrite)
    with ExitStack() as stack:
        class_map = stack.enter_context(open_class_map(result, maximum_pixels))
        reading = SceneReading(bands=bands or _bands_of(class_map), maximum_pixels=maximum_pixels)
        scenes = _open_scenes(stack, class_map, image, before, reading)
        further = [
            stack.enter_context(open_class_map(other, maximum_pixels))
            for other in [*others, *([] if reference is None else [reference])]
        ]
        for other in further:
            _require_size(other, f"the class map {other.path}", class_map)
        content = _content(class_map, scenes, further, None if reference is None else further[-1], max_size)
        layer = None if lines is None else line_layer(lines, class_map)
        facts = _facts(class_map, content, title or result.name, [scene.name for scene in scenes])
        tiles = stack.enter_context(temporary_folder(tile_folder(output)))
        pyramid = write_tiles(tiles, scenes, content.all_layers, pyramid_factors(content.factor))
        return _write(output, facts, content, tiles, pyramid, tiles_in_page, layer)


@dataclass(frozen=True)
class _Content:
    """What a page shows, reduced by `factor`: the scene, or two dates of it with the later first; maps; the table."""

    factor: int
    pictures: list[Image.Image]
    layers: list[MapLayer]
    mistakes: MapLayer | None
    areas: list[ClassArea]
    colors: list[Color]

    @property
    def all_layers(self) -> list[MapLayer]:
        return [*self.layers, *([] if self.mistakes is None else [self.mistakes])]


def _content(
    class_map: ClassMap,
    scenes: Sequence[SceneSource],
    further: Sequence[ClassMap],
    reference: ClassMap | None,
    max_size: int,
) -> _Content:
    factor = reduction_factor(class_map.width, class_map.height, max_size)
    pictures = [Image.fromarray(reduce_scene(scene, factor)) for scene in scenes]
    ids, rows = reduce_class_map(class_map, factor)
    areas = _areas(class_map, rows)
    labels, colors = [area.label for area in areas], [class_map.color_of(area.id) for area in areas]
    table = number_table([area.id for area in areas], range(len(areas)))
    layers = [MapLayer(class_map.path.name, table[ids + 1], class_map, table)]
    layers += [map_layer(other, factor, labels, colors) for other in further]
    mistakes = None if reference is None else mistakes_layer(class_map, reference, factor)
    areas += [ClassArea(NO_CLASS, label, 0, 0.0, _no_area(areas)) for label in labels[len(areas) :]]
    return _Content(factor, pictures, layers, mistakes, areas, colors)


def _write(
    output: Path,
    facts: ViewerFacts,
    content: _Content,
    tiles: Path,
    pyramid: TilePyramid,
    tiles_in_page: float,
    lines: LineLayer | None,
) -> ViewerReport:
    """The page and, where the tiles are too large for it, their folder: both or none."""
    folder = tile_folder(output) if pyramid.size > tiles_in_page * 1e6 else None
    described = None
    if pyramid.count:
        described = PageTiles(pyramid, folder and folder.name, None if folder else embedded_tiles(tiles))
    pictures = [image_data(picture, quality=_JPEG_QUALITY, optimize=True) for picture in content.pictures]
    with atomic_file(output) as temporary:
        page = viewer_page(facts, pictures, content.layers, content.mistakes, described, lines)
        temporary.write_text(page, encoding="utf-8", newline="\n")
        put_in_place(tiles if folder else None, tile_folder(output))
    return ViewerReport(output, output.stat().st_size, content.factor, pyramid.count, folder)


def _require_size(other: SceneSource | ClassMap, name: str, class_map: ClassMap) -> None:
    if (other.width, other.height) != (class_map.width, class_map.height):
        raise ValueError(
            f"{name} has {other.width} x {other.height} pixels, the class map {class_map.path} "
            f"{class_map.width} x {class_map.height}: expected the same"
        )


def _no_area(areas: Sequence[ClassArea]) -> float | None:
    """What a class that does not occur covers: nothing, in the units of the others."""
    return None if any(area.square_metres is None for area in areas) else 0.0


def _open_scenes(
    stack: ExitStack, class_map: ClassMap, image: str | Path | None, before: str | Path | None, reading: SceneReading
) -> list[SceneSource]:
    """The scene, or two dates of it with the later first."""
    if before is None and image is None and class_map.source_after is not None:
        before = _there(class_map.source, class_map)
    after = _there(class_map.source_after or class_map.source, class_map) if image is None else image
    if before is None:
        scenes = [stack.enter_context(open_scene(after, reading=reading))]
    else:
        pair = stack.enter_context(open_pair(before, after, reading, tqdm.write))
        scenes = [pair.after, pair.before]
    for scene in scenes:
        _require_size(scene, f"the scene {scene.name}", class_map)
    return scenes


def _there(source: str | None, class_map: ClassMap) -> str:
    """A scene that a map names, if it is still there."""
    if source is None:
        raise ValueError(f"{class_map.path} does not say which scene it was made from; give the image")
    if not is_remote(source) and not Path(source).is_file():
        raise FileNotFoundError(
            f"{source}, the scene that {class_map.path} was made from, is not there; give the image"
        )
    return source


def _bands_of(class_map: ClassMap) -> list[int] | None:
    """The first three of the bands that the model saw, if they are so many: then they make a picture."""
    bands = class_map.sidecar.get("source_bands") or []
    return list(bands[:3]) if len(bands) >= 3 else None


def _areas(class_map: ClassMap, rows: dict[int, np.ndarray]) -> list[ClassArea]:
    """One entry per class that occurs or has a name, in the order of the ids."""
    row_areas = pixel_areas(class_map.crs, class_map.transform, class_map.height)
    ids = sorted({*rows, *class_map.id2label})
    if len(ids) > MAX_CLASSES:
        raise ValueError(f"the page shows up to {MAX_CLASSES} classes, {class_map.path} has {len(ids)}")
    empty = np.zeros(class_map.height, dtype=np.int64)
    total = max(1, sum(int(counts.sum()) for counts in rows.values()))
    areas = []
    for class_id in ids:
        counts = rows.get(class_id, empty)
        square_metres = None if row_areas is None else float(counts @ row_areas)
        pixels = int(counts.sum())
        areas.append(ClassArea(class_id, class_map.label_of(class_id), pixels, pixels / total, square_metres))
    return areas


def _facts(class_map: ClassMap, content: _Content, title: str, scenes: Sequence[str]) -> ViewerFacts:
    transform = class_map.transform
    task, model = class_map.sidecar.get("task"), class_map.sidecar.get("model")
    return ViewerFacts(
        title=title,
        scene=" and ".join(Path(scene).name for scene in reversed(scenes)),
        width=class_map.width,
        height=class_map.height,
        factor=content.factor,
        areas=content.areas,
        colors=content.colors,
        crs=None if class_map.crs is None else class_map.crs.to_string(),
        transform=None if transform is None else tuple(transform)[:6],
        task=None if task is None else str(task),
        model=None if model is None else str(model),
    )
