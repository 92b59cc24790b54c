"""Rasters of class values as labels: beside the scenes under the same name, or anywhere in a CRS."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...dataset_builders.coordinate_systems import crs_name, points_in_crs, same_crs
from ...imaging.rasters import open_dataset
from ...imaging.scene_files import find_scenes, scene_stem
from ...imaging.windows import Window
from .class_values import check_class_values
from .scene_info import SceneInfo
from .settings import IGNORE_INDEX, LabelsElsewhereError, LabelSettings, file_identity
from .vector_layer import VECTOR_SUFFIXES

__all__ = ["RasterLabels", "open_raster_labels"]

_SCANNED_ROWS = 2048


@dataclass(frozen=True)
class RasterLabels:
    """See `SceneLabels`.

    Attributes:
        paths: of the rasters; a later one covers an earlier one.
        settings: how values become classes.
    """

    paths: tuple[str, ...]
    settings: LabelSettings

    @cached_property
    def ids(self) -> dict[int, int]:
        """The class id of each value."""
        return class_of_values(self.settings)

    def class_ids(self, scene: SceneInfo, window: Window, shape: tuple[int, int]) -> tuple[np.ndarray, int]:
        ids = np.full(shape, IGNORE_INDEX, dtype=np.uint8)
        covered = np.zeros(shape, dtype=bool)
        for path in self.paths:
            if scene.crs is None and scene_stem(path) != scene.name:
                continue
            with open_dataset(path) as dataset:
                if scene.crs is None:
                    values, here = _read_beside(dataset, window, shape)
                elif _meets(dataset, scene, window):
                    values, here = _read_warped(dataset, scene, window, shape)
                else:
                    continue
            for value, class_id in self.ids.items():
                ids[here & (values == value)] = class_id
            covered |= here
        ids[~covered] = self.settings.unlabelled_id
        return ids, 0

    def identity(self) -> Any:
        return [file_identity(Path(path)) for path in self.paths]


def open_raster_labels(
    places: Sequence[str | Path], settings: LabelSettings, scenes: Sequence[SceneInfo]
) -> tuple[RasterLabels, list[str]]:
    """Look at rasters of labels and check that they fit.

    Raises:
        FileNotFoundError: a place holds none.
        LabelsElsewhereError: rasters that lie on no scene.
        ValueError: rasters that are not of one band of whole numbers, that have another size than a scene without
            CRS, or hold values of no class.
    """
    paths = tuple(find_scenes(places))
    found = RasterLabels(paths, settings)
    if settings.attribute is not None or settings.layer is not None:
        raise ValueError(
            f"attribute and layer are for files of polygons ({', '.join(VECTOR_SUFFIXES)}); {paths[0]} is taken for a "
            "raster"
        )
    notes = [*_check_places(paths, scenes)]
    counts: Counter[int] = Counter()
    for path in paths:
        counts += _values_of(path)
    notes += check_class_values(counts, found.ids, settings, "the rasters of labels", "pixel")
    return found, notes


def class_of_values(settings: LabelSettings) -> dict[int, int]:
    """The class id of each value of a raster: as the classes say, else the values are the ids.

    Raises:
        ValueError: a value is not a whole number.
    """
    values = settings.values()
    if list(values) == list(settings.names):
        return {class_id: class_id for class_id in range(len(settings.names))}
    try:
        return {int(value): class_id for value, class_id in values.items()}
    except ValueError as error:
        raise ValueError(f"the values of classes in a raster are whole numbers: {error}") from None


def _check_places(paths: Sequence[str], scenes: Sequence[SceneInfo]) -> list[str]:
    """Warnings on rasters that lie on no scene and on scenes without labels; a ValueError where nothing fits."""
    notes, used = [], set()
    for scene in scenes:
        found = [path for path in paths if _covers(path, scene, notes)]
        used.update(found)
        if not found:
            notes.append(f"there are no labels for {scene.path}")
    if not used:
        raise LabelsElsewhereError(
            f"none of {len(paths)} rasters of labels, such as {paths[0]}, belongs to a scene, such as "
            f"{scenes[0].path}: neither has the name of a scene without CRS, nor lies on one"
        )
    if unused := [path for path in paths if path not in used]:
        notes.append(f"{len(unused)} of {len(paths)} rasters of labels lie on no scene, such as {unused[0]}")
    return list(dict.fromkeys(notes))


def _covers(path: str, scene: SceneInfo, notes: list[str]) -> bool:
    with open_dataset(path) as dataset:
        if dataset.count != 1 or not dataset.dtypes[0].startswith(("int", "uint")):
            raise ValueError(
                f"{path} has {dataset.count} bands of {dataset.dtypes[0]}; labels are one band of whole numbers"
            )
        if scene.crs is None:
            if scene_stem(path) != scene.name:
                return False
            if (dataset.width, dataset.height) != (scene.width, scene.height):
                raise ValueError(
                    f"{path} is {dataset.width} x {dataset.height} px, but its scene {scene.path} is "
                    f"{scene.width} x {scene.height} px, and without CRS nothing else says where it lies"
                )
            return True
        if dataset.crs is None:
            raise ValueError(f"{path} has no CRS, so that it cannot be laid over {scene.path}, which has one")
        if not _meets(dataset, scene, Window(0, 0, scene.width, scene.height)):
            return False
        if not same_crs(dataset.crs.to_wkt(), scene.crs):
            notes.append(f"{path} is in {crs_name(dataset.crs.to_wkt())} and is reprojected to {crs_name(scene.crs)}")
        return True


def _meets(dataset: Any, scene: SceneInfo, window: Window) -> bool:
    """Whether a raster shares ground with a window of a scene; judged by the outlines."""
    import shapely

    here = SceneInfo(
        "", "", dataset.width, dataset.height, dataset.crs.to_wkt(), dataset.transform, (1,), ("",), "", None, False
    )
    outline = scene.footprint(window)
    if not same_crs(here.crs, scene.crs):
        try:
            outline = shapely.Polygon(points_in_crs(scene.corners(window), scene.crs, here.crs))
        except ValueError:
            return False
    return shapely.area(shapely.intersection(outline, here.footprint())) > 0


def _read_warped(
    dataset: Any, scene: SceneInfo, window: Window, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Values in the grid of the scene, by the nearest pixel, and where there are any."""
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    from .vector_labels import window_transform

    options = {"nodata": dataset.nodata} if dataset.nodata is not None else {"add_alpha": True}
    with WarpedVRT(
        dataset, crs=scene.crs, transform=window_transform(scene, window, shape), height=shape[0], width=shape[1],
        resampling=Resampling.nearest, **options,
    ) as warped:  # fmt: skip
        return warped.read(1), warped.dataset_mask() > 0


def _read_beside(dataset: Any, window: Window, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Values of a raster that has the pixels of the scene; beyond it there are none."""
    from rasterio.windows import Window as RasterioWindow

    inside = Window(window.left, window.top, min(window.right, dataset.width), min(window.bottom, dataset.height))
    rows = round(shape[0] * inside.height / window.height)
    columns = round(shape[1] * inside.width / window.width)
    place = RasterioWindow(inside.left, inside.top, inside.width, inside.height)
    values, here = np.zeros(shape, dtype=dataset.dtypes[0]), np.zeros(shape, dtype=bool)
    values[:rows, :columns] = dataset.read(1, window=place, out_shape=(rows, columns))
    here[:rows, :columns] = dataset.read_masks(1, window=place, out_shape=(rows, columns)) > 0
    return values, here


def _values_of(path: str) -> Counter[int]:
    """How many pixels have each value, those without data left out."""
    from rasterio.windows import Window as RasterioWindow

    counts: Counter[int] = Counter()
    with open_dataset(path) as dataset, warnings.catch_warnings():
        for top in range(0, dataset.height, _SCANNED_ROWS):
            place = RasterioWindow(0, top, dataset.width, min(_SCANNED_ROWS, dataset.height - top))
            values = dataset.read(1, window=place)[dataset.read_masks(1, window=place) > 0]
            found, numbers = np.unique(values, return_counts=True)
            counts.update(dict(zip(found.tolist(), numbers.tolist(), strict=True)))
    return counts
