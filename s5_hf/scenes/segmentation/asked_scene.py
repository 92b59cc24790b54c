"""A question about a whole scene: a look at all of it from afar, and at its details where that found something.

Source: none; the paper (arXiv 2504.09644) answers questions about single images.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from tqdm import tqdm

from ...imaging.palettes import Palette
from ...predictors.question_segmenter import QuestionSegmenter
from ..reading import SceneReading
from ..reduction import reduce_scene, reduction_factor
from ..scene_run import require_distinct
from ..source import SceneSource, open_scene
from .map_maker import MapMaker
from .scene_probabilities import WindowSettings
from .scene_result import MapProducts, SceneFiles, SceneResult
from .single_scene import write_map_polygons

__all__ = ["ask_scene"]

COLORS: Palette = ((225, 225, 225), (214, 39, 40))
MARGIN = 3
"""Pixels of the look from afar by which a place that is looked at again grows on every side."""


def ask_scene(
    segmenter: QuestionSegmenter,
    source: str | Path,
    output: str | Path,
    window: int | None = None,
    overlap: float = 0.25,
    least: float = 0.1,
    products: MapProducts | None = None,
    reading: SceneReading | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    report: Callable[[str], None] = tqdm.write,
) -> SceneResult:
    """Find what a question asks for in a scene of any size, georeferenced as the scene is.

    ```python
    >>> from s5_hf.predictors.question_segmenter import load_reasoner
    >>> ask_scene(load_reasoner("my-reasoner", "where could a boat float?"), "city.tif", "water.tif")  # doctest: +SKIP

    ```

    Args:
        segmenter: with the question.
        source: as `segment_scene` takes it.
        output: `.tif` or `.png`, 1 on the answer, 0 elsewhere, 255 without data; or a folder.
        window: side of the windows in pixels, a multiple of 16; by default the side of the network's images.
        overlap: share of a window that the next one covers again.
        least: probability from which on a place that was seen from afar is looked at again; 0 looks everywhere.
        products: what to make besides the map; with `polygon_classes` `["answer"]`, polygons of that alone.
        reading: how the scene is read.
        resume, overwrite, progress, report: as `segment_scene`.

    Raises:
        FileExistsError: one of the files already exists, and neither `resume` nor `overwrite` is set.
        OSError, ValueError: as `segment_scene`.
    """
    if not 0 <= least <= 1:
        raise ValueError(f"least must be a probability from 0 to 1, got {least:g}")
    settings = WindowSettings(window=window or segmenter.side, overlap=overlap, batch_size=1)
    products, reading = products or MapProducts(), reading or SceneReading()
    files = SceneFiles.of_scene(source, output, products)
    require_distinct({source: files.paths()})
    if not overwrite:
        files.require_new(resume)
    palette = COLORS if products.palette is None else products.colors(list(segmenter.id2label.values()))
    with open_scene(source, len(segmenter.image_mean) - 1, reading.as_trained(segmenter)) as scene:
        for note in scene.notes:
            report(note)
        if segmenter.unknown_words:
            report(
                f"words that mean nothing to the model, which never read them: {', '.join(segmenter.unknown_words)}"
            )
        places = look_from_afar(scene, segmenter, least)
        report(places.what_is_looked_at())
        maker = MapMaker(places, [segmenter], files, settings, products, palette, progress, report)
        result = maker.make(segmenter.question, "SegEarth-R1", resume)
    if files.polygons is not None:
        write_map_polygons(files, products, scene.width * scene.height)
    return result


def look_from_afar(scene: SceneSource, segmenter: QuestionSegmenter, least: float) -> PlacedScene:
    """The scene with a channel that says where to look: where a reduced picture of it shows the answer.

    A scene that is as small as the picture is looked at once, as a whole.
    """
    factor = reduction_factor(scene.width, scene.height, segmenter.side)
    if least == 0 or factor == 1:
        return PlacedScene(scene, None, 1)
    found = segmenter.look_at(reduce_scene(scene, factor)) >= least
    grown = Image.fromarray(found).convert("L").filter(ImageFilter.MaxFilter(2 * MARGIN + 1))
    return PlacedScene(scene, np.asarray(grown) > 0, factor)


class PlacedScene:
    """A scene with one channel more, 255 where to look and 0 elsewhere; see `SceneSource`.

    Args:
        scene: an open one.
        places: bool, a value for every `factor` x `factor` pixels; None for everywhere.
        factor: by which the places are smaller than the scene.
    """

    def __init__(self, scene: SceneSource, places: np.ndarray | None, factor: int) -> None:
        self._scene, self._places, self._factor = scene, places, factor
        self.name, self.width, self.height, self.bands = scene.name, scene.width, scene.height, scene.bands
        self.crs, self.transform, self.notes = scene.crs, scene.transform, scene.notes
        looked = "everywhere" if places is None else f"{factor} {np.packbits(places).tobytes().hex()}"
        self.fingerprint = f"{scene.fingerprint} {looked}"

    def what_is_looked_at(self) -> str:
        """A sentence about the look from afar."""
        if self._places is None:
            return "every window is looked at"
        seen = f"seen as a whole, at 1/{self._factor} of its size, the scene shows"
        if not self._places.any():
            return f"{seen} nothing of what was asked for, so no window is looked at; --least 0 looks everywhere"
        return f"{seen} where to look: {self._places.mean():.1%} of it is looked at in detail"

    def read_rows(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray | None]:
        pixels, valid = self._scene.read_rows(top, bottom)
        places = np.full((1, bottom - top, self.width), 255, np.uint8)
        if self._places is not None:
            rows = self._places[np.arange(top, bottom) // self._factor]
            places[0] = np.uint8(255) * np.repeat(rows, self._factor, axis=1)[:, : self.width]
        return np.concatenate([pixels, places]), valid
