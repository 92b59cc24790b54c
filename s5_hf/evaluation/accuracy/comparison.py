"""A map against a reference of a whole area, pixel by pixel, and a map of the errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ...files.atomic import atomic_file, temporary_folder
from ...imaging.scene_files import find_scenes, scene_stem
from ...imaging.windows import Window
from ...preparation.scenes.labels import open_labels
from ...preparation.scenes.scene_info import SceneInfo, describe_scenes
from ...preparation.scenes.settings import IGNORE_INDEX, LabelsElsewhereError, LabelSettings
from ...scenes.class_maps import ClassMap

if TYPE_CHECKING:
    from rasterio.io import DatasetWriter

__all__ = ["ERROR_LABELS", "compare_with_area"]

ERROR_LABELS = {1: "right", 2: "wrong"}
"""Values of the map of errors; 0 where there is nothing to compare."""

_ERROR_COLORS = {0: (0, 0, 0, 0), 1: (0, 158, 115, 255), 2: (213, 94, 0, 255)}
_BAND_PIXELS = 2**22


def compare_with_area(
    class_map: ClassMap, reference: Sequence[str | Path], settings: LabelSettings, errors: Path | None
) -> tuple[np.ndarray, list[str]]:
    """Count the pixels of a map by its class and that of the reference.

    Args:
        class_map: the open map.
        reference: a file of polygons, or rasters.
        settings: how the reference becomes classes.
        errors: GeoTIFF to write, with the values of `ERROR_LABELS`; None for none.

    Returns:
        Counts `(C, C)`, classes of the map in rows, of the reference in columns; and warnings.

    Raises:
        LabelsElsewhereError: nothing can be compared.
        OSError, ValueError: as `open_labels`.
    """
    (scene,), warnings = describe_scenes([str(class_map.path)])
    if scene.crs is None and len(places := find_scenes(reference)) == 1:
        scene = replace(scene, name=scene_stem(places[0]))  # there is no choice to which raster it belongs
    labels, more = open_labels(reference, settings, [scene])
    size = len(settings.names)
    counts = np.zeros((size, size), dtype=np.int64)
    rows = max(1, _BAND_PIXELS // class_map.width)
    with _error_map(errors, scene) as file, tqdm(total=class_map.height, desc="comparing", unit="row") as bar:
        for top, mapped in class_map.bands(rows):
            window = Window(0, top, class_map.width, top + len(mapped))
            real, _ = labels.class_ids(scene, window, mapped.shape)
            compared = real != IGNORE_INDEX
            if class_map.nodata is not None:
                compared &= mapped != class_map.nodata
            pairs = mapped[compared].astype(np.int64) * size + real[compared]
            counts += np.bincount(pairs, minlength=size * size).reshape(size, size)
            if file is not None:
                values = np.where(compared, np.where(mapped == real, 1, 2), 0).astype(np.uint8)
                file.write(values, 1, window=((top, window.bottom), (0, window.right)))
            bar.update(len(mapped))
        if not counts.any():
            raise LabelsElsewhereError(
                f"{class_map.path} and the reference have no pixel in common that holds a class in both"
            )
    return counts, [*warnings, *more]


@contextmanager
def _error_map(path: Path | None, scene: SceneInfo) -> Iterator[DatasetWriter | None]:
    """A map of errors in the grid of a scene; it gets its name when the block ends well."""
    if path is None:
        yield None
        return
    import warnings

    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    place: dict[str, Any] = {} if scene.crs is None else {"crs": scene.crs, "transform": scene.transform}
    # A folder, because GDAL chooses by the suffix and may write a file beside it.
    with atomic_file(path) as finished, temporary_folder(finished) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            folder / path.name, "w", driver="GTiff", count=1, width=scene.width, height=scene.height, dtype="uint8",
            nodata=0, compress="deflate", tiled=True, blockxsize=256, blockysize=256, **place,
        ) as file:  # fmt: skip
            file.write_colormap(1, _ERROR_COLORS)
            file.update_tags(S5_ID2LABEL=json.dumps(ERROR_LABELS))
            yield file
        (folder / path.name).replace(finished)
