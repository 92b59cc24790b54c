"""Labels of any kind as class ids of a part of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...imaging.windows import Window
from .raster_labels import open_raster_labels
from .scene_info import SceneInfo
from .settings import LabelSettings
from .vector_labels import open_vector_labels
from .vector_layer import is_vector_file

__all__ = ["SceneLabels", "open_labels"]


class SceneLabels(Protocol):
    """Labels of scenes; plain data that travels to worker processes."""

    def class_ids(self, scene: SceneInfo, window: Window, shape: tuple[int, int]) -> tuple[np.ndarray, int]:
        """The classes of a window of a scene, which may reach beyond it, reduced to a shape (rows, columns).

        Returns:
            ids: uint8 of that shape, `IGNORE_INDEX` where there is no class.
            overlapping: pixels for which labels of several classes compete.
        """
        ...

    def identity(self) -> Any:
        """Names, sizes and times of change of the files, as JSON values."""
        ...


def open_labels(
    labels: str | Path | Sequence[str | Path], settings: LabelSettings, scenes: Sequence[SceneInfo]
) -> tuple[SceneLabels, list[str]]:
    """Look at labels and check that they fit the settings and the scenes.

    Args:
        labels: a file of polygons, or rasters: files, folders or patterns.
        settings: how labels become classes.
        scenes: that they are for.

    Returns:
        The labels, and warnings.

    Raises:
        FileNotFoundError, ImportError, OSError: a file cannot be read.
        ValueError: labels that do not fit; see `open_vector_labels` and `open_raster_labels`.
    """
    places = [labels] if isinstance(labels, (str, Path)) else list(labels)
    if len(places) == 1 and is_vector_file(places[0]):
        return open_vector_labels(str(places[0]), settings, scenes)
    if vectors := [place for place in places if is_vector_file(place)]:
        raise ValueError(
            f"labels are one file of polygons or rasters, got {len(places)} places, one of them {vectors[0]}"
        )
    return open_raster_labels(places, settings, scenes)
