"""The files of a search for changes: a map per class, and the objects as polygons."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..imaging.palettes import Color
from ..scenes.scene_pairs import ScenePair
from ..scenes.segmentation.areas import AreaCounter, ClassArea, pixel_areas
from ..scenes.segmentation.class_rows import NO_DATA
from ..scenes.segmentation.map_files import BLOCK_SIDE, MapLayout, mapped_bytes, open_map
from ..scenes.segmentation.polygons import band_regions, map_areas, on_the_map, rings_of
from ..scenes.segmentation.scene_result import SceneFiles, write_sidecar
from ..scenes.source import SceneSource
from ..scenes.vector_files import VectorWriter, vector_file
from .object_merging import ChangedObject

if TYPE_CHECKING:
    from shapely.geometry import Polygon

__all__ = ["CAME", "CHANGE_COLORS", "GONE", "UNCHANGED", "ChangeMaps", "ObjectLayer", "change_labels", "polygon_layer"]

UNCHANGED, CAME, GONE = 0, 1, 2
"""Values of a map; 255 where either date holds no data."""

CHANGE_COLORS: tuple[Color, ...] = ((225, 225, 225), (214, 39, 40))
"""Of what did not change, and of what did."""
_COLORS: tuple[Color, ...] = (*CHANGE_COLORS, (31, 119, 180))
_FIELDS = {
    "class_before": str,
    "class_after": str,
    "date_before": str,
    "date_after": str,
    "angle": float,
    "confidence": float,
    "area": float,
}


def change_labels(label: str) -> list[str]:
    """The classes of the map of one class."""
    return ["unchanged", f"{label} came", f"{label} gone"]


class ChangeMaps:
    """Maps of a scene that are painted object by object, on the disk.

    Args:
        folder: for unfinished work.
        pair: the scenes; the maps have the grid of the first.
        class_ids: of the classes that get a map.
    """

    def __init__(self, folder: Path, pair: ScenePair, class_ids: Sequence[int]) -> None:
        self._folder, self._pair, self._class_ids = folder, pair, tuple(class_ids)
        scene = pair.before
        path = folder / "painted.raw"
        path.unlink(missing_ok=True)  # of an earlier run: painting is quick, and begins anew
        self._pixels = mapped_bytes(path, (len(class_ids), scene.height, scene.width))

    def paint(self, changed: ChangedObject) -> None:
        """Enter an object into the maps of the classes that it was or became."""
        left, top, right, bottom = changed.box
        for plane, class_id in zip(self._pixels, self._class_ids, strict=True):
            if class_id in (changed.class_before, changed.class_after):
                place = plane[top:bottom, left:right]
                place[changed.crop] = CAME if class_id == changed.class_after else GONE

    def set_rows(self, top: int, valid: np.ndarray) -> None:
        """Enter which pixels of rows, bool `(rows, width)`, hold data at both dates."""
        self._pixels[:, top : top + len(valid)][:, ~valid] = NO_DATA

    def write(self, files: Mapping[int, SceneFiles], labels: Sequence[str], model: str) -> dict[int, list[ClassArea]]:
        """Write the maps and what describes them; what each value covers, by class."""
        covered = {}
        for plane, class_id in zip(self._pixels, self._class_ids, strict=True):
            names = change_labels(labels[class_id])
            covered[class_id] = self._write_map(plane, files[class_id], names)
            write_sidecar(
                files[class_id],
                self._pair.before,
                covered[class_id],
                _COLORS,
                labels[class_id],
                model,
                later=self._pair.after,
            )
        return covered

    def _write_map(self, plane: np.ndarray, files: SceneFiles, names: Sequence[str]) -> list[ClassArea]:
        scene = self._pair.before
        tags = {"S5_ID2LABEL": json.dumps(dict(enumerate(names)))}
        layout = MapLayout(scene.height, scene.width, ["change"], scene.crs, scene.transform, _COLORS, tags)
        folder = self._folder / files.classes.stem
        folder.mkdir(exist_ok=True)
        for leftover in folder.iterdir():
            leftover.unlink()
        map_file = open_map(folder, files.classes, layout)
        areas = AreaCounter(len(names), pixel_areas(scene.crs, scene.transform, scene.height))
        for top in range(0, scene.height, BLOCK_SIDE):
            rows = np.array(plane[top : top + BLOCK_SIDE])
            map_file.write(top, rows[None])
            areas.add(top, rows)
        for temporary, final in map_file.finish():
            temporary.replace(final)
        return areas.table(dict(enumerate(names)))


@contextmanager
def polygon_layer(path: Path | None, scene: SceneSource, dates: tuple[str, str]) -> Iterator[ObjectLayer | None]:
    """An open file of polygons, or None where none is wanted.

    Args:
        path: `.geojson` or `.gpkg`, or None.
        scene: whose grid the objects are on.
        dates: of both scenes, in the words of the user.
    """
    if path is None:
        yield None
        return
    with vector_file(path, scene.crs, scene.transform is not None, "changes", _FIELDS) as writer:
        yield ObjectLayer(writer, scene, dates)


@dataclass(frozen=True)
class ObjectLayer:
    """An open file of polygons; see `polygon_layer`."""

    writer: VectorWriter
    scene: SceneSource
    dates: tuple[str, str]

    def write(self, changed: ChangedObject, labels: Sequence[str]) -> None:
        """Append the outlines of an object, one polygon for each of its connected parts."""
        ids = changed.crop.astype(np.uint8)
        outlines = [region.outline for region in band_regions(ids, 0, changed.crop)]
        placed = shapely_array(outlines, changed.left, changed.top)
        areas = map_areas(on_the_map(placed, self.scene), self.scene)
        common = {
            "class_before": labels[changed.class_before],
            "class_after": labels[changed.class_after],
            "date_before": self.dates[0],
            "date_after": self.dates[1],
            "angle": round(changed.angle, 2),
            "confidence": round(changed.confidence, 4),
        }
        fields = {name: [value] * len(outlines) for name, value in common.items()}
        fields["area"] = areas.round(3).tolist()
        self.writer.write([rings_of(outline) for outline in on_the_map(placed, self.scene)], fields)


def shapely_array(outlines: Sequence[Polygon], left: int, top: int) -> np.ndarray:
    """Outlines moved to their place in the scene."""
    import shapely

    return shapely.transform(np.array(outlines, dtype=object), lambda xy: xy + np.array([left, top]))
