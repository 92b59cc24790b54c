"""Translated pixels on their way into an image: kept row by row, so that an interrupted run resumes after them."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from ..files.atomic import atomic_file, write_text
from ..files.json_files import read_json_object
from .scene_run import refuse_unfinished, require_same_work
from .segmentation.map_files import BLOCK_SIDE, mapped_bytes
from .source import SceneSource

__all__ = ["TranslatedPixels", "has_finished_rows", "write_geotiff", "write_png"]

STATE = "state.json"


def has_finished_rows(folder: Path) -> bool:
    """Whether a folder holds rows that an interrupted run has finished."""
    return (folder / STATE).is_file()


class TranslatedPixels:
    """The pixels of a scene in a file, with a note of the rows that are finished.

    Args:
        folder: of both; made if it is not there.
        shape: height, width, and channels with one more, which is 255 where a pixel holds data.
        made_of: what decides the result, by the words for it.
        resume: whether to continue what is in the folder.

    Attributes:
        pixels: uint8 of that shape, in the file.
        rows_done: rows from the top that are finished.
        start_window: window from which the rows after them are made.

    Raises:
        FileExistsError: the folder holds unfinished work, and `resume` is not set.
        ValueError: it holds what was made of something else.
        OSError: there is no room.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int], made_of: Mapping[str, str], resume: bool) -> None:
        self._state, self._made_of = folder / STATE, dict(made_of)
        self.rows_done, self.start_window = 0, 0
        if has_finished_rows(folder):
            self._take_up(folder, resume)
        folder.mkdir(parents=True, exist_ok=True)
        raw = folder / "pixels.raw"
        if not raw.is_file() or raw.stat().st_size != math.prod(shape):  # somebody has tidied up
            self.rows_done, self.start_window = 0, 0
        if not self.rows_done:
            raw.unlink(missing_ok=True)
        self.pixels = mapped_bytes(raw, shape)

    def write(self, top: int, pixels: np.ndarray, valid: np.ndarray | None) -> None:
        """Write the next rows uint8 `(channels, rows, width)`; bool `(rows, width)` tells where data is, None: all."""
        place = self.pixels[top : top + pixels.shape[1]]
        place[..., :-1] = pixels.transpose(1, 2, 0)
        place[..., -1] = 255
        if valid is not None:
            place[~valid] = 0
        self.rows_done = top + pixels.shape[1]

    def save(self, start_window: int) -> None:
        """Note that `rows_done` rows are on the disk, and where to go on."""
        self.start_window = start_window
        self.pixels.flush()
        state = {"made_of": self._made_of, "rows_done": self.rows_done, "start_window": start_window}
        write_text(self._state, json.dumps(state))

    def _take_up(self, folder: Path, resume: bool) -> None:
        if not resume:
            refuse_unfinished(folder)
        state = read_json_object(self._state)
        require_same_work(folder, state["made_of"], self._made_of)
        self.rows_done, self.start_window = state["rows_done"], state["start_window"]


def write_geotiff(output: Path, scene: SceneSource, pixels: np.ndarray) -> None:
    """Write translated pixels as a GeoTIFF in tiles, compressed, with the coordinates of the scene and a mask."""
    import rasterio
    import rasterio.errors
    from rasterio.windows import Window

    height, width, channels = pixels.shape[0], pixels.shape[1], pixels.shape[2] - 1
    options = {"driver": "GTiff", "dtype": "uint8", "count": channels, "width": width, "height": height}
    options |= {"tiled": True, "blockxsize": BLOCK_SIDE, "blockysize": BLOCK_SIDE, "compress": "deflate"}
    options |= {"interleave": "pixel", "BIGTIFF": "IF_SAFER"}
    if channels == 3:
        options["photometric"] = "rgb"
    placed = {"crs": scene.crs, "transform": scene.transform}
    options |= {name: value for name, value in placed.items() if value is not None}
    with atomic_file(output) as temporary:
        try:
            with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
                warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
                with rasterio.open(temporary, "w", **options) as dataset:
                    for top in range(0, height, BLOCK_SIDE):
                        rows = np.array(pixels[top : top + BLOCK_SIDE]).transpose(2, 0, 1)
                        window = Window(0, top, width, rows.shape[1])
                        dataset.write(rows[:-1], window=window)
                        dataset.write_mask(rows[-1] > 0, window=window)
                with rasterio.open(temporary) as written:  # GDAL does not always say so when a disk is full
                    written.read(window=((height - 1, height), (0, width)))
        except rasterio.errors.RasterioError as error:
            raise OSError(f"{output} cannot be written; is the disk full? {error.__cause__ or error}") from error


def write_png(output: Path, scene: SceneSource, pixels: np.ndarray) -> None:
    """Write translated pixels as a PNG; with transparency where some hold no data."""
    shown = pixels if (pixels[..., -1] == 0).any() else pixels[..., :-1]
    with atomic_file(output) as temporary:
        Image.fromarray(shown.squeeze(axis=2) if shown.shape[2] == 1 else shown).save(temporary, format="PNG")
