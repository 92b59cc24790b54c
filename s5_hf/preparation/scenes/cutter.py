"""Cutting blocks: tiles as GeoTIFFs in the type and bands of the scene, masks in the same place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...imaging.rasters import open_dataset
from ...imaging.windows import Window
from ..manifest import CutTile, RawTile
from .labels import SceneLabels
from .plan import SceneBlock, inside_areas
from .scene_info import SceneInfo, read_values
from .settings import IGNORE_INDEX, LabelSettings, SplitSettings, TileSettings, as_json, file_identity
from .vector_layer import PolygonLayer, read_polygons

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

__all__ = ["SceneCutter", "read_areas"]


@dataclass(frozen=True)
class SceneCutter:
    """Cut blocks of scenes. A tile is `{part}/images/{scene}_{left}_{top}.tif`, its classes have that name in `masks`.

    Images keep type, bands and coordinates of the scene; what lies beyond it is filled with its value of no data, or
    0. Masks are GeoTIFFs of one band with class ids, `IGNORE_INDEX` where there is no label or no data.

    Attributes:
        labels: of all scenes.
        areas: file of polygons outside of which nothing is labelled; None for no such limit.
        label_settings, tile_settings, split_settings: what the user decided.
        scenes: `identity` of every scene: the split depends on them all.
    """

    labels: SceneLabels
    areas: str | None
    label_settings: LabelSettings
    tile_settings: TileSettings
    split_settings: SplitSettings
    scenes: tuple[list[Any], ...]

    def settings(self) -> dict[str, Any]:
        """See `Cutter`. Scenes and labels belong to it: with others, blocks may go to other parts."""
        return {
            "dataset": "scenes",
            "label_settings": as_json(self.label_settings),
            "tile_settings": as_json(self.tile_settings),
            "split_settings": as_json(self.split_settings),
            "scenes": list(self.scenes),
            "labels": self.labels.identity(),
            "areas": None if self.areas is None else file_identity(Path(self.areas)),
        }

    def cut(self, tile: RawTile, folder: Path) -> CutTile:
        """See `Cutter`."""
        assert isinstance(tile, SceneBlock) and tile.scene is not None
        hull = tile.hull
        hull_ids, inside, overlapping = self._labels_of(tile.scene, hull)
        masks, images, empty = [], [], 0
        pixels = np.zeros(len(self.label_settings.names) + 1, dtype=np.int64)
        with open_dataset(tile.scene.path) as dataset:
            for window in tile.windows:
                place = np.s_[
                    window.top - hull.top : window.bottom - hull.top,
                    window.left - hull.left : window.right - hull.left,
                ]
                values, valid = _read_padded(dataset, tile.scene, window)
                valid &= inside[place]
                ids = np.where(valid, hull_ids[place], np.uint8(IGNORE_INDEX))
                if not valid.any() or ((ids == IGNORE_INDEX).all() and not self.tile_settings.keep_unlabelled):
                    empty += 1
                    continue
                name = f"{tile.scene.name}_{window.left}_{window.top}.tif"
                masks.append(f"{tile.split}/masks/{name}")
                images.append(f"{tile.split}/images/{name}")
                _write(folder / masks[-1], ids[None], tile.scene, window, IGNORE_INDEX, ("class",))
                _write(folder / images[-1], values, tile.scene, window, tile.scene.nodata, tile.scene.band_names)
                counts = np.bincount(ids.ravel(), minlength=256)
                pixels += [*counts[: len(pixels) - 1], counts[IGNORE_INDEX]]
        return CutTile(
            (*masks, *images), len(images), empty, class_pixels=tuple(pixels.tolist()), overlapping=overlapping
        )

    def _labels_of(self, scene: SceneInfo, hull: Window) -> tuple[np.ndarray, np.ndarray, int]:
        """Class ids of a window, where it lies in an area of interest, and pixels for which classes compete."""
        shape = (hull.height, hull.width)
        ids, overlapping = self.labels.class_ids(scene, hull, shape)
        if self.areas is None:
            return ids, np.ones(shape, dtype=bool), overlapping
        return ids, inside_areas(read_areas(self.areas), scene, hull, shape), overlapping


def read_areas(path: str) -> PolygonLayer:
    """The areas of interest, which are kept in memory as long as the file is the same."""
    return _read_areas(path, tuple(file_identity(Path(path))) if Path(path).is_file() else ())


@lru_cache(maxsize=1)
def _read_areas(path: str, identity: tuple[Any, ...]) -> PolygonLayer:
    return read_polygons(path)


def _read_padded(dataset: DatasetReader, scene: SceneInfo, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Values `(bands, height, width)` and which pixels hold data, of a window that may reach beyond the scene."""
    from rasterio.windows import Window as RasterioWindow

    inside = Window(window.left, window.top, min(window.right, scene.width), min(window.bottom, scene.height))
    place = RasterioWindow(inside.left, inside.top, inside.width, inside.height)
    values, valid = read_values(dataset, scene, window=place)
    if inside == window:
        return values, valid
    fill = 0 if scene.nodata is None else scene.nodata
    beyond = ((0, window.height - inside.height), (0, window.width - inside.width))
    return np.pad(values, ((0, 0), *beyond), constant_values=fill), np.pad(valid, beyond)


def _write(
    path: Path, values: np.ndarray, scene: SceneInfo, window: Window, nodata: float | None, names: tuple[str, ...]
) -> None:
    """Write bands `(bands, height, width)` as a GeoTIFF in the place of the window."""
    import warnings

    import rasterio
    from affine import Affine
    from rasterio.errors import NotGeoreferencedWarning

    count, height, width = values.shape
    is_rgb = values.dtype == np.uint8 and count == 3
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, nodata=nodata,
            crs=scene.crs, transform=scene.transform * Affine.translation(window.left, window.top),
            compress="deflate", zlevel=1, predictor=3 if values.dtype.kind == "f" else 2, interleave="pixel",
            photometric="RGB" if is_rgb else "MINISBLACK",
        ) as file:  # fmt: skip
            file.write(values)
            for band, name in enumerate(names, start=1):
                file.set_band_description(band, name)
