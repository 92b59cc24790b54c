"""Maps of whole scenes: windows that overlap and blend, memory that does not grow with the scene's height.

A scene is read from top to bottom, cut into windows, predicted in batches, and blended in a band as high as one
window; rows are written as soon as they are complete. `segment_scene` does it all with the parts in the files beside
it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from ...files.atomic import write_text
from ...imaging.palettes import Color, Palette
from ...imaging.scene_files import scene_stem
from ...predictors.interfaces import SceneSegmenter
from ...predictors.test_time_augmentation import check_augmentations
from ...predictors.torch_segmenter import load_segmenters
from ..qgis_styles import raster_style
from ..reading import SceneReading
from ..scene_run import finished_work_kept, model_name, require_distinct
from ..source import SceneSource, open_scene
from ..stac import map_item
from .areas import ClassArea, write_areas
from .class_rows import NO_DATA, class_rows
from .map_files import is_geotiff
from .scene_probabilities import SceneProbabilities, WindowSettings
from .scene_result import MapProducts, SceneFiles, SceneResult, read_sidecar_areas, write_sidecar
from .scene_writer import SceneWriter

__all__ = ["MapMaker", "map_scene", "segment_scene", "write_map_polygons"]


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
    precision: str = "fp32",
    compile_model: bool = False,
    classes: Sequence[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    report: Callable[[str], None] = tqdm.write,
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
        precision: `"fp32"`, `"bf16"`, or `"auto"`: bf16 where the device has it natively.
        compile_model: whether to run the network through `torch.compile`.
        classes: what an open-vocabulary model is to look for, such as `["building,roof", "road"]`.
        resume: resume an interrupted run; the result is the same, pixel by pixel. A scene that has its map already
            is left alone.
        overwrite: replace existing files, and discard an interrupted run.
        progress: whether to show a bar over the rows.
        report: takes what the user should know, a line at a time.

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
        task, settings, products, resume, overwrite, progress, report: as `segment_scene`.
    """
    settings, products = settings or WindowSettings(), products or MapProducts()
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
    with opened(segmenters[0]) as scene:
        if scene.crs is not None and not is_geotiff(files.classes):
            scene.notes.append(f"{files.classes} carries no coordinates; a .tif would")
        for note in scene.notes:
            report(note)
        maps = MapMaker(scene, segmenters, files, settings, products, palette, progress, report)
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


@dataclass(frozen=True)
class MapMaker:
    """One scene on its way into files; the attributes are those of `segment_scene`."""

    scene: SceneSource
    segmenters: Sequence[SceneSegmenter]
    files: SceneFiles
    settings: WindowSettings
    products: MapProducts
    palette: Palette
    progress: bool
    report: Callable[[str], None]

    def make(self, task: str | None, model: str, resume: bool) -> SceneResult:
        """All files except the polygons; `task` and `model` are for the description."""
        scene, files, segmenter, cog = self.scene, self.files, self.segmenters[0], self.products.cloud_optimized
        id2label = {index: segmenter.id2label[index] for index in range(segmenter.num_labels)}
        with (
            finished_work_kept(files.work, "rows", self.report),
            SceneWriter(files, scene, id2label, self.palette, task, self._fingerprint(), resume, cog) as writer,
        ):
            if writer.rows_done:
                self.report(f"resuming after row {writer.rows_done:,} of {scene.height:,}")
            self._fill(writer)
            areas = writer.finish(self.products.minimum_area)
            write_sidecar(files, scene, areas, self.palette, task, model)
            if files.style is not None:
                write_text(files.style, raster_style(_styled(areas, self.palette)))
            if files.stac is not None:
                classes, size = list(_styled(areas, self.palette).values()), (scene.height, scene.width)
                item = map_item(files.classes, size, scene.crs, scene.transform, classes, NO_DATA)
                write_text(files.stac, json.dumps(item, indent=2) + "\n")
            if files.areas is not None:
                write_areas(areas, files.areas)
            writer.publish()
        return SceneResult(files, areas, scene.notes)

    def _fingerprint(self) -> dict[str, str]:
        """What decides the content of the maps, under names for people."""
        products = self.products
        return {
            "the model": self.segmenters[0].fingerprint,
            "the scene or how it is read": self.scene.fingerprint,
            "the windows or their augmentation": repr(self.settings),
            "the palette": repr([tuple(color) for color in self.palette]),
            "the products": repr((products.probabilities, products.entropy, products.overlay)),
        }

    def _fill(self, writer: SceneWriter) -> None:
        """Predict the rows that are missing, and hand them to the writer."""
        scene, products = self.scene, self.products
        stream = SceneProbabilities(
            scene, self.segmenters, self.settings, writer.rows_done, writer.restart_window, writer.add_image
        )
        with tqdm(
            total=scene.height,
            initial=writer.rows_done,
            desc=scene_stem(scene.name),
            unit="row",
            disable=not self.progress,
        ) as bar:
            for rows in stream:
                done = 0
                while done < rows.probabilities.shape[1]:
                    stop = min(done + writer.rows_to_block(), rows.probabilities.shape[1])
                    valid = None if rows.valid is None else rows.valid[done:stop]
                    piece = rows.probabilities[:, done:stop]
                    maps = class_rows(piece, valid, products.probabilities, products.entropy)
                    writer.add(maps, stream.restart_window(rows.top + stop))
                    bar.update(stop - done)
                    done = stop


def _styled(areas: Sequence[ClassArea], palette: Palette) -> dict[int, tuple[str, Color]]:
    """Names and colours by class id."""
    return {area.id: (area.label, color) for area, color in zip(areas, palette, strict=True)}


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
