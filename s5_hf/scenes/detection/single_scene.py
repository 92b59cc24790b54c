"""Objects in whole scenes: tiles that overlap, merged so that an object cut by a tile is found once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm
from transformers import PreTrainedModel

from ...files.atomic import atomic_file
from ...imaging.scene_files import scene_stem
from ...predictors.interfaces import SceneDetector
from ...predictors.normalization import input_pixels
from ...predictors.torch_detector import load_detector
from ..reading import SceneReading
from ..scene_run import finished_work_kept, model_name, require_absent, require_distinct
from ..source import ArrayScene, SceneSource, open_scene
from ..vector_files import require_vector_file
from .dota_results import write_task1_results
from .products import draw_detections, write_detection_polygons
from .scene_detections import MEMORY, SceneDetections, read_coco_detections, write_coco_detections
from .tile_detection import TileSettings, detect_objects, tile_grid
from .tile_journal import TileJournal

__all__ = ["FORMATS", "check_formats", "detect_scene", "detection_files"]

FORMATS = {
    "json": "objects in COCO's layout, with oriented boxes (always written)",
    "geojson": "polygons in longitude and latitude",
    "gpkg": "polygons in the CRS of the scene, as GeoPackage",
    "overlay": "a picture, reduced for big scenes",
    "dota": "DOTA's Task 1 text files, one per class for all scenes",
}
"""What can be written, and what it is."""

_ENDINGS = {"json": ".json", "geojson": ".geojson", "gpkg": ".gpkg", "overlay": "_overlay.png"}


# A twin of `segment_scene` in its arguments on purpose: what belongs together is in `settings` and `reading`, and the
# others are one decision of a user each.
def detect_scene(
    model: str | Path | PreTrainedModel | SceneDetector,
    image: str | Path | Image.Image | np.ndarray,
    output: str | Path | None = None,
    task: str | None = None,
    settings: TileSettings | None = None,
    formats: Sequence[str] = ("json", "geojson", "overlay"),
    reading: SceneReading | None = None,
    device: str | torch.device | None = None,
    precision: str = "fp32",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    report: Callable[[str], None] = tqdm.write,
) -> SceneDetections:
    """Find oriented objects in a scene of any size.

    ```python
    >>> found = detect_scene("s5-vit-b-moe-det", "harbour.tif", "found", task="dota")  # doctest: +SKIP
    >>> found.counts()  # doctest: +SKIP
    {'ship': 212, 'harbor': 14}

    ```

    Args:
        model: a folder, a Hub repository or a known name; a model; or a `SceneDetector`.
        image: a path, a URL or a name that GDAL knows (see `open_scene`), or a picture in memory, 0..255.
        output: a folder for the files, which are named after the scene; None writes nothing.
        task: of a model with several.
        settings: tiles, overlap, batches, flips and thresholds.
        formats: what to write, see `FORMATS`.
        reading: how the scene is read: bands, scaling, pixels without data. Not for pictures in memory.
        device: where the network runs; the first GPU if there is one.
        precision: `"fp32"`, `"bf16"`, or `"auto"`: bf16 where the device has it natively.
        resume: resume an interrupted run; the result is the same. A scene that has its JSON file already is left
            alone, and its objects are read from that file.
        overwrite: replace existing files.
        progress: whether to show a bar over the tiles.
        report: takes what the user should know, a line at a time.

    Raises:
        FileExistsError: one of the files already exists, and neither `resume` nor `overwrite` is set.
        ImportError: a package of the extra `geo` is missing.
        OSError: a file cannot be read or written. Tiles that are finished are kept for `resume`.
        ValueError: an option is out of range, the model is not a detector or lacks the task, or the bands do not fit.
        NonFiniteOutputError: the outputs of the network are not finite; names the window.
    """
    settings = settings or TileSettings()
    check_formats(formats)
    name = str(image) if isinstance(image, (str, Path)) else MEMORY
    files = {} if output is None else detection_files(name, output, formats)
    if resume and files and files["json"].is_file():
        report(f"{files['json']} exists already")
        return read_coco_detections(files["json"])
    if files:
        require_distinct({name: files.values()})
        if not overwrite:
            require_new_results(files, output, formats, resume)
    detector = load_detector(model, task, device, precision)
    with _open(image, detector, reading) as scene:
        for note in scene.notes:
            report(note)
        journal = _open_journal(files["json"], scene, detector, settings, resume) if files else None
        found = _find(scene, detector, settings, journal, progress, report)
        if output is None:
            return found
        notes = [*found.notes]
        for kind in ("geojson", "gpkg"):
            if kind in files:
                notes.append(write_detection_polygons(found, files[kind]))
                report(notes[-1])
        if "overlay" in files:
            with atomic_file(files["overlay"]) as temporary:
                draw_detections(found, scene).save(temporary, format="PNG")
    if "dota" in formats:
        write_task1_results(Path(output) / "Task1", {found.stem: found.as_tensors()}, found.class_names)
    # Last, because it says that the scene is done.
    write_coco_detections(found, files["json"], model_name(model, detector), getattr(detector, "task", task))
    journal.remove()
    return replace(found, notes=notes, files=files)


def detection_files(scene: str | Path, output: str | Path, formats: Sequence[str]) -> dict[str, Path]:
    """The files of one scene in a folder, by their kind; the JSON file is always among them.

    Raises:
        ImportError: a package of the extra `geo` is missing.
        NotADirectoryError: the folder is a file.
    """
    folder = Path(output)
    if folder.is_file():
        raise NotADirectoryError(f"{folder} is a file; expected a folder for the results")
    wanted = [kind for kind in _ENDINGS if kind == "json" or kind in formats]
    files = {kind: folder / f"{scene_stem(scene)}{_ENDINGS[kind]}" for kind in wanted}
    if "gpkg" in files:
        require_vector_file(files["gpkg"])
    return files


def check_formats(formats: Sequence[str]) -> None:
    """Raise a ValueError for a format that is not known; lists the known."""
    unknown = [name for name in formats if name not in FORMATS]
    if isinstance(formats, str) or unknown:
        known = "; ".join(f"{name}: {meaning}" for name, meaning in FORMATS.items())
        raise ValueError(f"unknown format {', '.join(map(repr, unknown)) or repr(formats)}. Known: {known}")


def require_new_results(files: Mapping[str, Path], output: str | Path, formats: Sequence[str], resume: bool) -> None:
    """Make sure that nothing is overwritten; a resumed run may replace what it has left itself.

    Args:
        files: of the scene, from `detection_files`.
        output: the folder, for DOTA's files.
        formats: what is written.
        resume: whether to resume an interrupted run.

    Raises:
        FileExistsError: one of the files exists already.
    """
    if resume and (files["json"].exists() or _journal_path(files["json"]).exists()):
        return
    dota = [Path(output) / "Task1"] if "dota" in formats and not resume else []
    require_absent([*files.values(), *dota])


def _open_journal(
    result: Path, scene: SceneSource, detector: SceneDetector, settings: TileSettings, resume: bool
) -> TileJournal:
    fingerprint = f"{detector.fingerprint} {scene.fingerprint} {settings}"
    return TileJournal(_journal_path(result), fingerprint, resume)


def _journal_path(result: Path) -> Path:
    return result.with_name(f".{result.name}.partial")


def _find(
    scene: SceneSource,
    detector: SceneDetector,
    settings: TileSettings,
    journal: TileJournal | None,
    progress: bool,
    report: Callable[[str], None],
) -> SceneDetections:
    tiles = len(tile_grid(scene.height, scene.width, settings))
    if journal is not None and journal.done:
        report(f"resuming after tile {journal.done:,} of {tiles:,}")
    work = None if journal is None else journal.path
    with (
        finished_work_kept(work, "tiles", report),
        nullcontext() if journal is None else closing(journal),
        tqdm(total=tiles, desc=scene_stem(scene.name), unit="tile", disable=not progress) as bar,
    ):
        found = detect_objects(scene, detector, settings, lambda done: bar.update(done - bar.n), journal)
    return SceneDetections(
        name=scene.name,
        width=scene.width,
        height=scene.height,
        class_names=tuple(detector.labels),
        crs=scene.crs,
        transform=scene.transform,
        notes=list(scene.notes),
        **found,
    )


@contextmanager
def _open(
    image: str | Path | Image.Image | np.ndarray, detector: SceneDetector, reading: SceneReading | None
) -> Iterator[SceneSource]:
    if isinstance(image, (str, Path)):
        reading = (reading or SceneReading()).as_trained(detector)
        with open_scene(image, len(detector.image_mean), reading) as scene:
            yield scene
        return
    if reading is not None:
        raise ValueError("reading says how a file is read; a picture in memory is taken as it is")
    yield ArrayScene(input_pixels(image, detector, MEMORY), MEMORY)
