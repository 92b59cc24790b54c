"""Scenes with the look of another date: overlapping windows, blended, in bounded memory.

Source: none; the paper (arXiv 2502.11468) translates single images. The network normalises each window by its own
mean and contrast, so wide windows that overlap by half have no seams.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ..imaging.rasters import require_geo
from ..imaging.scene_files import scene_stem
from ..predictors.fitting_batch import PROCESSOR_BATCH
from ..predictors.image_probabilities import finite_images, require_finite
from ..predictors.normalization import normalize_pixels
from ..predictors.torch_translator import TorchTranslator
from .blended_rows import BlendedRows
from .reading import SceneReading
from .scene_run import finished_work_kept, require_absent, require_distinct
from .segmentation.map_files import is_geotiff
from .segmentation.scene_probabilities import WindowSettings, scene_grid
from .source import SceneSource, open_scene
from .translated_files import TranslatedPixels, has_finished_rows, write_geotiff, write_png
from .window_batches import prefetch, window_batches

__all__ = ["TRANSLATION_WINDOWS", "TranslatedScene", "translate_rows", "translate_scene"]

PNG_CHANNELS = (1, 3)
TRANSLATION_WINDOWS = WindowSettings(overlap=0.5, batch_size=1)


# Scenes are read with the same arguments everywhere, so that a user learns them once.
def translate_scene(
    translator: TorchTranslator,
    source: str | Path,
    output: str | Path,
    settings: WindowSettings | None = None,
    reading: SceneReading | None = None,
    resume: bool = False,
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
        resume: continue an interrupted run; the result is the same, pixel by pixel. A finished output is left alone.
        overwrite: replace the output, and discard an interrupted run.
        progress: show a bar.
        report: takes notes on how the scene is read.

    Returns:
        The output; it is there only once it is whole.

    Raises:
        FileExistsError: the output exists, or the work of an interrupted run, and neither `resume` nor `overwrite` is
            set.
        ImportError: a GeoTIFF is to be written without rasterio.
        OSError, ValueError: as `open_scene`, for an output of another kind, and for a disk that is full. Rows that
            are finished are kept for `resume`.
    """
    output, settings = Path(output), settings or TRANSLATION_WINDOWS
    require_writable(output, len(translator.image_mean))
    require_distinct({source: [output]})
    if resume and output.exists():
        report(f"{output} exists already")
        return output
    if not overwrite:
        require_absent([output])
    work = output.with_name(f".{output.name}.partial")
    if overwrite and not resume:
        shutil.rmtree(work, ignore_errors=True)
    reading = (reading or SceneReading()).as_trained(translator)
    with open_scene(source, len(translator.image_mean), reading) as scene:
        for note in scene.notes:
            report(note)
        pixels = translate_rows(translator, scene, work, settings, resume, progress, report)
        with finished_work_kept(work, "rows", report):
            (write_geotiff if is_geotiff(output) else write_png)(output, scene, pixels)
    shutil.rmtree(work)
    return output


@contextmanager
def removed_unless_begun(work: Path) -> Iterator[None]:
    """Remove the folder of a run that fails before any row is finished."""
    try:
        yield
    except BaseException:
        if not has_finished_rows(work):
            shutil.rmtree(work, ignore_errors=True)
        raise


def require_writable(output: Path, channels: int) -> None:
    """Raise an error unless an image of so many channels can be written there."""
    if is_geotiff(output):
        require_geo(f"writing {output}", "rasterio")
        return
    if output.suffix.lower() != ".png":
        raise ValueError(f"{output}: expected a name that ends in .tif, .tiff or .png")
    if channels not in PNG_CHANNELS:
        raise ValueError(f"{output}: the network gives {channels} channels, which a PNG cannot hold; expected .tif")


def translate_rows(
    translator: TorchTranslator,
    scene: SceneSource,
    work: Path,
    settings: WindowSettings,
    resume: bool,
    progress: bool = True,
    report: Callable[[str], None] = tqdm.write,
) -> np.memmap:
    """Translate the rows of an open scene into a file in the folder `work`, where it is not done yet.

    Args:
        translator, scene, settings, progress, report: as `translate_scene`.
        work: folder of the file, with the state of the work.
        resume: whether to continue what is in the folder.

    Returns:
        uint8 `(height, width, channels + 1)`; the last channel is 255 where a pixel holds data, else 0.

    Raises:
        FileExistsError: the folder holds unfinished work, and `resume` is not set.
        OSError: there is no room.
        ValueError: it holds that of another scene, translator or windows.
    """
    made_of = {
        "the scene": scene.fingerprint,
        "the translator": f"{translator.fingerprint} {translator.to}",
        "the windows": f"{settings.window} {settings.overlap} {settings.batch_size} {settings.blending}",
    }
    shape = (scene.height, scene.width, len(translator.image_mean) + 1)
    with removed_unless_begun(work):
        kept = TranslatedPixels(work, shape, made_of, resume)
    if kept.rows_done:
        report(f"resuming after row {kept.rows_done:,} of {scene.height:,}")
    bar = tqdm(
        total=scene.height, initial=kept.rows_done, desc=scene_stem(scene.name), unit="row", disable=not progress
    )
    with bar, finished_work_kept(work, "rows", report), removed_unless_begun(work):
        if kept.rows_done < scene.height:
            fill_rows(translator, scene, settings, kept, bar)
    return kept.pixels


@torch.inference_mode()
def fill_rows(
    translator: TorchTranslator, scene: SceneSource, settings: WindowSettings, kept: TranslatedPixels, bar: tqdm
) -> None:
    """Translate the rows that are not finished yet; `bar` follows them."""
    size, channels = (scene.height, scene.width), len(translator.image_mean)
    grid = scene_grid(*size, settings)
    blended = BlendedRows(
        grid, size, channels, settings.blending, translator.device, kept.rows_done, kept.start_window
    )
    count = settings.batch_size or PROCESSOR_BATCH
    batches = window_batches(scene, grid, count, channels, kept.start_window, blended.note_rows)
    for batch in prefetch(batches):
        images = torch.empty(0)
        if batch.indices:
            images = translator.predict(normalize_pixels(batch.pixels, translator))
            require_finite(
                finite_images(images),
                lambda index, indices=batch.indices: grid.describe(indices[index], scene.name),
            )
        for rows in blended.add(batch, images):
            kept.write(rows.top, to_bytes(rows.probabilities), rows.valid)
            bar.update(kept.rows_done - bar.n)
        if kept.rows_done:
            kept.save(blended.restart_window(kept.rows_done))


def to_bytes(values: torch.Tensor) -> np.ndarray:
    """Values 0..255 as uint8 of the same shape, rounded."""
    return values.round().clamp(0, 255).to(torch.uint8).cpu().numpy()


class TranslatedScene:
    """A scene whose pixels were translated by `translate_rows`; see `SceneSource`."""

    def __init__(self, scene: SceneSource, pixels: np.ndarray, translator: TorchTranslator) -> None:
        self._pixels = pixels
        self.name, self.width, self.height = scene.name, scene.width, scene.height
        self.bands, self.crs, self.transform, self.notes = scene.bands, scene.crs, scene.transform, scene.notes
        self.fingerprint = f"{scene.fingerprint} {translator.fingerprint} {translator.to}"

    def read_rows(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows `top` to `bottom` (exclusive); see `SceneSource`."""
        rows = np.array(self._pixels[top:bottom])
        valid = rows[..., -1] > 0
        return rows[..., :-1].transpose(2, 0, 1), None if valid.all() else valid
