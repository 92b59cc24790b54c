"""Polygons with a class each, drawn into the pixels of a scene."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...dataset_builders.coordinate_systems import crs_name, points_in_crs, same_crs
from ...imaging.windows import Window
from .class_values import check_class_values
from .scene_info import SceneInfo
from .settings import LabelsElsewhereError, LabelSettings, as_json, file_identity
from .vector_layer import PolygonLayer, fields_of, read_polygons

__all__ = ["VectorLabels", "check_areas", "draw_polygons", "near_window", "open_vector_labels", "window_transform"]


@dataclass(frozen=True)
class ClassPolygons:
    """Polygons ready to be drawn.

    Attributes:
        layer: the polygons.
        ids: the class id of each, int64 `(n,)`; -1 for those of no class.
        ranks: the place of each in the order of drawing, int64 `(n,)`.
    """

    layer: PolygonLayer
    ids: np.ndarray
    ranks: np.ndarray


@dataclass(frozen=True)
class VectorLabels:
    """See `SceneLabels`. The polygons are read once in each process.

    Attributes:
        path: of the file.
        settings: how polygons become classes.
    """

    path: str
    settings: LabelSettings

    @property
    def polygons(self) -> ClassPolygons:
        """The polygons with their classes."""
        return _class_polygons(self.path, json.dumps(as_json(self.settings)), tuple(self.identity()))

    def class_ids(self, scene: SceneInfo, window: Window, shape: tuple[int, int]) -> tuple[np.ndarray, int]:
        polygons = self.polygons
        geometries, tree = polygons.layer.in_crs(scene.crs)
        found = tree.query(scene.footprint(window), predicate="intersects")
        found = found[polygons.ids[found] >= 0]
        found = found[np.argsort(polygons.ranks[found])]
        ids = polygons.ids[found].tolist()
        transform = window_transform(scene, window, shape)
        shapes = list(zip(near_window(geometries[found], scene, window), ids, strict=True))
        drawn = draw_polygons(shapes, shape, transform, self.settings.unlabelled_id, self.settings.all_touched)
        if len(set(ids)) < 2:
            return drawn, 0
        # Drawn from the top downwards, pixels differ where polygons of several classes lie over one another.
        reverse = draw_polygons(shapes[::-1], shape, transform, self.settings.unlabelled_id, self.settings.all_touched)
        return drawn, int((drawn != reverse).sum())

    def identity(self) -> Any:
        return file_identity(Path(self.path))


@lru_cache(maxsize=2)
def _class_polygons(path: str, settings: str, identity: tuple[Any, ...]) -> ClassPolygons:
    """Read polygons and give each its class; the last are kept in memory as long as the file is the same."""
    chosen = LabelSettings(**json.loads(settings))
    layer = read_polygons(path, chosen.layer, chosen.attribute)
    if layer.values is None:
        only = [class_id for class_id, name in enumerate(chosen.names) if name != chosen.unlabelled]
        ids = np.full(len(layer.geometries), only[0])
    else:
        known = chosen.values()
        ids = np.array([known.get(text_of(value), -1) for value in layer.values], dtype=np.int64)
    order = np.array([*chosen.draw_order(), 0])[ids]
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[np.lexsort((np.arange(len(order)), order))] = np.arange(len(order))
    return ClassPolygons(layer, ids, ranks)


def open_vector_labels(
    path: str, settings: LabelSettings, scenes: Sequence[SceneInfo]
) -> tuple[VectorLabels, list[str]]:
    """Read polygons and check that they fit.

    Raises:
        FileNotFoundError, ImportError, OSError: the file cannot be read.
        ValueError: an attribute that is needed or not there, values of no class, no CRS, an empty layer, a scene
            without CRS, or no polygon on any scene.
    """
    labels = VectorLabels(path, settings)
    covered = [name for name in settings.names if name != settings.unlabelled]
    if settings.attribute is None and len(covered) != 1:
        raise ValueError(
            f"which attribute of {path} holds the class? Its attributes: {', '.join(fields_of(path, settings.layer))} "
            "(attribute=..., --attribute). Without one every polygon means the only class besides the unlabelled"
        )
    layer = labels.polygons.layer
    warnings = [*layer.notes, *_check_values(labels), *_check_places(layer, scenes, "labels")]
    return labels, warnings


def check_areas(layer: PolygonLayer, scenes: Sequence[SceneInfo]) -> list[str]:
    """Warnings on areas of interest; raises a ValueError if they lie on no scene."""
    return [*layer.notes, *_check_places(layer, scenes, "areas")]


def draw_polygons(
    shapes: Sequence[tuple[Any, int]], shape: tuple[int, int], transform: Any, fill: int, all_touched: bool
) -> np.ndarray:
    """Draw polygons with a value each, one after the other: uint8 of the shape, `fill` where there is none."""
    import rasterio.features

    if not shapes:
        return np.full(shape, fill, dtype=np.uint8)
    return rasterio.features.rasterize(
        shapes, out_shape=shape, fill=fill, transform=transform, all_touched=all_touched, dtype="uint8"
    )


def near_window(geometries: np.ndarray, scene: SceneInfo, window: Window) -> np.ndarray:
    """Polygons cut to a rectangle around a window: drawing one that is as large as the scene would take long."""
    import shapely

    margin = max(window.width, window.height)
    around = Window(window.left - margin, window.top - margin, window.right + margin, window.bottom + margin)
    return shapely.clip_by_rect(geometries, *scene.footprint(around).bounds)


def window_transform(scene: SceneInfo, window: Window, shape: tuple[int, int]) -> Any:
    """From the pixels of a reduced window to the CRS of the scene."""
    from affine import Affine

    scale = Affine.scale(window.width / shape[1], window.height / shape[0])
    return scene.transform * Affine.translation(window.left, window.top) * scale


def require_crs(scenes: Sequence[SceneInfo], what: str) -> None:
    """Raise a ValueError that names the first scene without CRS."""
    if without := [scene for scene in scenes if scene.crs is None]:
        more = f" ({len(without)} of {len(scenes)} scenes have none)" if len(without) > 1 else ""
        raise ValueError(
            f"{without[0].path} has no CRS{more}, so that {what} cannot be laid over it. Say where it lies, for "
            "example with: rio edit-info --crs EPSG:25832 --transform ..., or give the labels as rasters of the "
            "same size"
        )


def text_of(value: Any) -> str | None:
    """A value of an attribute as text: whole numbers without a fraction; None where there is none."""
    if value is None or value != value:  # NaN
        return None
    return str(int(value)) if isinstance(value, float | np.floating) and float(value).is_integer() else str(value)


def _check_values(labels: VectorLabels) -> list[str]:
    """Warnings on values of the attribute; a ValueError where values have no class."""
    values = labels.polygons.layer.values
    if values is None:
        return []
    settings, warnings = labels.settings, []
    counts = Counter(text_of(value) for value in values)
    empty = counts.pop(None, 0)
    if empty:
        warnings.append(f"{labels.path}: {empty:,} polygons have no value of {settings.attribute!r} and are left out")
    source = f"{labels.path}, attribute {settings.attribute!r}"
    return warnings + check_class_values(counts, settings.values(), settings, source, "polygon")


def _check_places(layer: PolygonLayer, scenes: Sequence[SceneInfo], what: str) -> list[str]:
    """Warnings on polygons beside the scenes and in another CRS; a ValueError where none lies on a scene."""
    import shapely

    require_crs(scenes, what)
    warnings, inside = [], np.zeros(len(layer.geometries), dtype=bool)
    tree = shapely.STRtree(layer.geometries)
    others = {crs_name(scene.crs) for scene in scenes if not same_crs(scene.crs, layer.crs)}
    if others:
        warnings.append(f"{layer.path} is in {crs_name(layer.crs)} and is reprojected to {', '.join(sorted(others))}")
    for scene in scenes:
        outline = shapely.segmentize(scene.footprint(), max(scene.width, scene.height) / 16 * _pixel_side(scene))
        try:
            outline = shapely.transform(outline, lambda xy, crs=scene.crs: points_in_crs(xy, crs, layer.crs))
        except ValueError:
            continue  # the scene lies where the CRS of the labels does not reach, and so no label on it
        inside[tree.query(outline, predicate="intersects")] = True
    if not inside.any():
        bounds = ", ".join(f"{value:.6g}" for value in layer.bounds)
        first = scenes[0]
        place = ", ".join(f"{value:.6g}" for value in first.footprint().bounds)
        raise LabelsElsewhereError(
            f"no polygon of {layer.path} lies on a scene. The polygons lie in {bounds} ({crs_name(layer.crs)}; west, "
            f"south, east, north), {first.path} in {place} ({crs_name(first.crs)})"
        )
    if not inside.all():
        warnings.append(f"{(~inside).sum():,} of {len(inside):,} polygons of {layer.path} lie on no scene")
    return warnings


def _pixel_side(scene: SceneInfo) -> float:
    return float(np.sqrt(abs(scene.transform.determinant)))
