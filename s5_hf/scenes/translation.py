"""Scenes with the look of another date: overlapping windows, blended, in bounded memory.

Source: none; the paper (arXiv 2502.11468) translates single images. The network normalises each window by its own
mean and contrast, so wide windows that overlap by half have no seams.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from ..files.atomic import atomic_file, temporary_folder
from ..imaging.rasters import require_geo
from ..imaging.scene_files import scene_stem
from ..predictors.image_probabilities import finite_images, require_finite
from ..predictors.normalization import normalize_pixels
from ..predictors.torch_translator import TorchTranslator
from .blended_rows import BlendedRows, FinishedRows
from .reading import SceneReading
from .scene_run import require_absent, require_distinct
from .segmentation.map_files import BLOCK_SIDE, is_geotiff, mapped_bytes
from .segmentation.scene_probabilities import WindowSettings, scene_grid
from .source import SceneSource, open_scene
from .window_batches import prefetch, window_batches

__all__ = ["translate_scene"]

PNG_CHANNELS = (1, 3)


# Scenes are read with the same arguments everywhere, so that a user learns them once.
def translate_scene(
    translator: TorchTranslator,
    source: str | Path,
    output: str | Path,
    settings: WindowSettings | None = None,
    reading: SceneReading | None = None,
    overwrite: bool = False,
    progress: bool = True,
    report: Callable[[str], None] = tqdm.write,
) -> Path:
    """Give a scene of any size the look of the other date, georeferenced as the scene is.

    ```python
    >>> from s5_hf.predictors.torch_translator import load_translator
    >>> translate_scene(load_translator("my-translator", to="after"), "summer.tif", "winter.tif")  # doctest: +SKIP

    ```

    Args:
        translator: with the direction.
        source: as `open_scene` takes it.
        output: `.tif` or `.png`, 8 bits, with the channels of the network. Pixels without data are masked.
        settings: windows and blending; windows of 512 pixels that overlap by half if left out.
        reading: how the scene is read.
        overwrite: replace the output.
        progress: show a bar.
        report: takes notes on how the scene is read.

    Returns:
        The output; it is there only once it is whole.

    Raises:
        FileExistsError: the output exists, and `overwrite` is not set.
        ImportError: a GeoTIFF is to be written without rasterio.
        OSError, ValueError: as `open_scene`, for an output of another kind, and for a disk that is full.
    """
    output, settings = Path(output), settings or WindowSettings(overlap=0.5, batch_size=1)
    channels = len(translator.image_mean)
    require_writable(output, channels)
    require_distinct({source: [output]})
    if not overwrite:
        require_absent([output])
    with open_scene(source, channels, (reading or SceneReading()).as_trained(translator)) as scene:
        for note in scene.notes:
            report(note)
        bar = tqdm(total=scene.height, desc=scene_stem(scene.name), unit="row", disable=not progress)
        make = geotiff_writer if is_geotiff(output) else png_writer
        with bar, make(output, scene, channels) as writer:
            for rows in translated_rows(translator, scene, settings):
                writer.write(rows.top, to_bytes(rows), rows.valid)
                bar.update(rows.probabilities.shape[1])
    return output


def require_writable(output: Path, channels: int) -> None:
    """Raise an error unless an image of so many channels can be written there."""
    if is_geotiff(output):
        require_geo(f"writing {output}", "rasterio")
        return
    if output.suffix.lower() != ".png":
        raise ValueError(f"{output}: expected a name that ends in .tif, .tiff or .png")
    if channels not in PNG_CHANNELS:
        raise ValueError(f"{output}: the network gives {channels} channels, which a PNG cannot hold; expected .tif")


@torch.inference_mode()
def translated_rows(
    translator: TorchTranslator, scene: SceneSource, settings: WindowSettings
) -> Iterator[FinishedRows]:
    """Finished rows from top to bottom; their values are those of the translated image, 0 to 255."""
    size, channels = (scene.height, scene.width), len(translator.image_mean)
    grid = scene_grid(*size, settings)
    blended = BlendedRows(grid, size, channels, settings.blending, translator.device)
    batches = window_batches(scene, grid, settings.batch_size or 1, channels, on_new_rows=blended.note_rows)
    for batch in prefetch(batches):
        images = torch.empty(0)
        if batch.indices:
            images = translator.predict(normalize_pixels(batch.pixels, translator))
            require_finite(
                finite_images(images),
                lambda index, indices=batch.indices: grid.describe(indices[index], scene.name),
            )
        yield from blended.add(batch, images)


def to_bytes(rows: FinishedRows) -> np.ndarray:
    """Values 0..255 as uint8 `(channels, rows, width)`, rounded; 0 without data."""
    pixels = rows.probabilities.round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    if rows.valid is not None:
        pixels[:, ~rows.valid] = 0
    return pixels


class RowWriter(Protocol):
    """An image that is being written from top to bottom."""

    def write(self, top: int, pixels: np.ndarray, valid: np.ndarray | None) -> None:
        """Write rows uint8 `(channels, rows, width)`, of which bool `(rows, width)` hold data; None for all.

        Raises:
            OSError: they cannot be written.
        """
        ...


class GeoTiffRows:
    """Rows into a GeoTIFF with a mask; they are gathered into blocks of the height of its tiles.

    Args:
        dataset: of rasterio, open for writing.
    """

    def __init__(self, dataset: object) -> None:
        self._dataset = dataset
        shape = (dataset.count, BLOCK_SIDE, dataset.width)
        self._pixels, self._valid, self._top, self._filled = np.zeros(shape, np.uint8), np.zeros(shape[1:], bool), 0, 0

    def write(self, top: int, pixels: np.ndarray, valid: np.ndarray | None) -> None:
        done = 0
        while done < pixels.shape[1]:
            count = min(BLOCK_SIDE - self._filled, pixels.shape[1] - done)
            place, taken = slice(self._filled, self._filled + count), slice(done, done + count)
            self._pixels[:, place] = pixels[:, taken]
            self._valid[place] = True if valid is None else valid[taken]
            self._filled += count
            done += count
            if self._filled == BLOCK_SIDE:
                self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        from rasterio.windows import Window

        if self._filled:
            window = Window(0, self._top, self._dataset.width, self._filled)
            self._dataset.write(self._pixels[:, : self._filled], window=window)
            self._dataset.write_mask(self._valid[: self._filled], window=window)
            self._top += self._filled
            self._filled = 0


@contextmanager
def geotiff_writer(output: Path, scene: SceneSource, channels: int) -> Iterator[GeoTiffRows]:
    """A GeoTIFF in tiles, compressed, with the coordinates of the scene."""
    import rasterio
    import rasterio.errors

    options = {"driver": "GTiff", "dtype": "uint8", "count": channels, "width": scene.width, "height": scene.height}
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
                    rows = GeoTiffRows(dataset)
                    yield rows
                    rows.flush()
                with rasterio.open(temporary) as written:  # GDAL does not always say so when a disk is full
                    written.read(window=((scene.height - 1, scene.height), (0, scene.width)))
        except rasterio.errors.RasterioError as error:
            raise OSError(f"{output} cannot be written; is the disk full? {error.__cause__ or error}") from error


class PngRows:
    """Rows into a file of raw pixels, whose last channel says which hold data.

    Args:
        pixels: uint8 `(height, width, channels + 1)`.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels

    def write(self, top: int, pixels: np.ndarray, valid: np.ndarray | None) -> None:
        place = self._pixels[top : top + pixels.shape[1]]
        place[..., :-1] = pixels.transpose(1, 2, 0)
        place[..., -1] = 255 if valid is None else np.uint8(255) * valid


@contextmanager
def png_writer(output: Path, scene: SceneSource, channels: int) -> Iterator[PngRows]:
    """A PNG; with transparency where pixels hold no data."""
    with temporary_folder(output) as folder:
        pixels = mapped_bytes(folder / "pixels.raw", (scene.height, scene.width, channels + 1))
        yield PngRows(pixels)
        shown = pixels if (pixels[..., -1] == 0).any() else pixels[..., :-1]
        with atomic_file(output) as temporary:
            Image.fromarray(shown.squeeze(axis=2) if shown.shape[2] == 1 else shown).save(temporary, format="PNG")
