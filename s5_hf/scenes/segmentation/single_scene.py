"""Maps of whole scenes: windows that overlap and blend, memory that does not grow with the scene's height.

A scene is read from top to bottom, cut into windows, predicted in batches, and blended in a band as high as one
window; rows are written as soon as they are complete. `segment_scene` does it all with the parts in the files beside
it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from ...imaging.palettes import Palette
from ...predictors.interfaces import SceneSegmenter
from ...predictors.test_time_augmentation import check_augmentations
from ...predictors.torch_segmenter import load_segmenters
from ..reading import SceneReading
from ..scene_run import model_name, require_distinct
from ..source import SceneSource, open_scene
from .class_rows import NO_DATA
from .map_files import is_geotiff
from .map_maker import MapMaker
from .scene_probabilities import WindowSettings
from .scene_result import MapProducts, SceneFiles, SceneResult, read_sidecar_areas
from .shared_rows import RowTeam

__all__ = ["map_scene", "segment_scene", "write_map_polygons"]


# `detect_scene` has the same arguments on purpose, so that a user learns them once.
def segment_scene(
    model: str | Path | PreTrainedModel | SceneSegmenter | Sequence[SceneSegmenter],
    source: str | Path,
    output: str | Path,
    task: str | None = None,
    settings: WindowSettings | None = None,
    products: MapProducts | None = None,
    reading: SceneReading | None = None,
    devices: Sequence[str | torch.device] | None = None,
    precision: str = "auto-gpu",
    compile_model: bool = False,
    classes: Sequence[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    report: Callable[[str], None] = tqdm.write,
    team: RowTeam | None = None,
) -> SceneResult:
    """Segment a scene of any size into a map of classes, georeferenced as the scene is.

    ```python
    >>> segment_scene("s5-vit-b-moe", "city.tif", "classes.tif", task="loveda")  # doctest: +SKIP

    ```

    Args:
        model: a folder, a Hub repository or a known name; an `.onnx` file; a model of transformers; or segmenters,
            see `load_segmenters`.
        source: a path, a URL or a name that GDAL knows; see `open_scene`.
        output: `.tif` (georeferenced, needs rasterio) or `.png`; or a folder, where the map is named after the
            scene. 255 stands for no data.
        task: of a model with several.
        settings: windows, blending, batches, test-time augmentation.
        products: what to make besides the map.
        reading: how the scene is read: bands, scaling, pixels without data; by default as the model was trained.
        devices: where the network runs; they take batches in turn.
        precision: `"fp32"`, `"bf16"`, `"auto"`: bf16 where the device has it natively, or `"auto-gpu"`: where that is
            a GPU.
        compile_model: whether to run the network through `torch.compile`.
        classes: what an open-vocabulary model is to look for, such as `["building,roof", "road"]`.
        resume: resume an interrupted run; the result is the same, pixel by pixel. A scene that has its map already
            is left alone.
        overwrite: replace existing files, and discard an interrupted run.
        progress: whether to show a bar over the rows.
        report: takes what the user should know, a line at a time.
        team: the processes that make the scene together, all of which call this alike; by default this one alone.

    Raises:
        FileExistsError: one of the files already exists, and neither `resume` nor `overwrite` is set.
        ImportError: a package of the extra `geo` is missing.
        NonFiniteOutputError: the outputs of the network are not finite; names the window.
        OSError: a file cannot be read or written. Rows that are finished are kept for `resume`.
        ValueError: an option is out of range, the model lacks the task, or the bands do not fit.
    """
    products, reading = products or MapProducts(), reading or SceneReading()
    return map_scene(
        [source],
        SceneFiles.of_scene(source, output, products),
        load=lambda: load_segmenters(model, task, devices, precision, compile_model, classes),
        opened=lambda known: open_scene(source, len(known.image_mean), reading.as_trained(known)),
        task=task,
        settings=settings,
        products=products,
        maximum_pixels=reading.maximum_pixels,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        report=report,
        model=model,
        team=team,
    )


def map_scene(
    sources: Sequence[str | Path],
    files: SceneFiles,
    *,
    load: Callable[[], Sequence[SceneSegmenter]],
    opened: Callable[[SceneSegmenter], AbstractContextManager[SceneSource]],
    model: object,
    task: str | None = None,
    settings: WindowSettings | None = None,
    products: MapProducts | None = None,
    colors: Callable[[Sequence[str]], Palette] | None = None,
    maximum_pixels: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    report: Callable[[str], None] = tqdm.write,
    team: RowTeam | None = None,
) -> SceneResult:
    """Make the map of a scene, whatever it consists of; see `segment_scene`, whose errors these are.

    Args:
        sources: the files that the scene is read from, none of which is replaced.
        files: that are made.
        load: gives the segmenters, one per device; called where there is something to do.
        opened: opens the scene for a segmenter.
        model: what the segmenters were loaded from, for the description.
        colors: gives a colour per class where `products` name no file; `natural_palette` if left out.
        maximum_pixels: of a map that is read again to be cut into polygons.
        team: the processes that make the scene together; only the first has areas in its result.
        task, settings, products, resume, overwrite, progress, report: as `segment_scene`.
    """
    settings, products, team = settings or WindowSettings(), products or MapProducts(), team or RowTeam()
    check_augmentations(settings.flips, settings.scales)
    made = {source: [] for source in sources[1:]}
    require_distinct({**made, sources[0]: files.paths()})
    if resume and files.is_finished():
        report(f"{files.classes} exists already")
        if files.polygons is not None and not files.polygons.exists():
            write_map_polygons(files, products, maximum_pixels)
        return SceneResult(files, read_sidecar_areas(files.sidecar))
    if not overwrite:
        files.require_new(resume)
    segmenters = load()
    if segmenters[0].num_labels > NO_DATA:
        raise ValueError(f"a map holds at most {NO_DATA} classes, the model has {segmenters[0].num_labels}")
    _require_classes(products.polygon_classes, segmenters[0])
    labels = [segmenters[0].id2label[index] for index in range(segmenters[0].num_labels)]
    palette = (products.colors if colors is None or products.palette is not None else colors)(labels)
    require_distinct({**made, sources[0]: files.paths(labels)})
    if not overwrite:
        files.require_new(resume, labels)
    team.wait()  # all have looked which files are there
    with opened(segmenters[0]) as scene:
        if scene.crs is not None and not is_geotiff(files.classes):
            scene.notes.append(f"{files.classes} carries no coordinates; a .tif would")
        for note in scene.notes:
            report(note)
        maps = MapMaker(scene, segmenters, files, settings, products, palette, progress, report, team)
        if team.index:
            maps.make_bands()
            return SceneResult(files, [], scene.notes)
        result = maps.make(task, model_name(model, segmenters[0]), resume)
    if files.polygons is not None:
        write_map_polygons(files, products, scene.width * scene.height)  # of a map that has just been made
    return result


def _require_classes(classes: Sequence[str | int] | None, segmenter: SceneSegmenter) -> None:
    """Find a class that the model does not have before the work, not after it."""
    known = {*segmenter.id2label, *segmenter.id2label.values()}
    unknown = [name for name in classes or () if name not in known]
    if unknown:
        raise ValueError(
            f"the model has no classes {', '.join(map(str, unknown))} to make polygons of; it has: "
            f"{', '.join(segmenter.id2label.values())}"
        )


def write_map_polygons(files: SceneFiles, products: MapProducts, maximum_pixels: int | None) -> None:
    """The polygons of a finished map."""
    from .polygons import write_polygons

    write_polygons(
        files.classes,
        files.polygons,
        classes=products.polygon_classes,
        simplify=products.simplify,
        maximum_pixels=maximum_pixels,
        square_corners=products.square_corners,
    )
