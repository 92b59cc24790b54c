"""Many scenes, on one process or shared among several."""

import glob
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import PartialState
from tqdm import tqdm
from transformers import PreTrainedModel

from ...predictors.image_probabilities import NonFiniteOutputError
from ...predictors.interfaces import SceneSegmenter
from ...predictors.torch_segmenter import load_segmenters
from ..product_paths import require_distinct
from ..source import is_remote
from .scene_result import MapProducts, SceneFiles, SceneResult
from .single_scene import output_path, require_new, segment_scene

__all__ = ["SCENE_SUFFIXES", "find_scenes", "segment_scenes"]

SCENE_SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""What counts as a scene in a folder."""


def find_scenes(places: Sequence[str | Path]) -> list[str]:
    """The scenes that files, folders, glob patterns and URLs stand for, sorted within each place, none twice.

    Raises:
        FileNotFoundError: a place holds no scene.
    """
    scenes: dict[str, None] = {}
    for place in map(str, places):
        found = [place] if is_remote(place) or Path(place).is_file() else _scenes_of(place)
        if not found:
            raise FileNotFoundError(
                f"{place} is no scene: expected a file, a URL, a folder or a pattern that matches files of the kinds "
                f"{', '.join(SCENE_SUFFIXES)}"
            )
        scenes.update(dict.fromkeys(found))
    return list(scenes)


def segment_scenes(
    model: str | Path | PreTrainedModel | SceneSegmenter | Sequence[SceneSegmenter],
    sources: Sequence[str | Path],
    output: str | Path,
    task: str | None = None,
    devices: Sequence[str] | None = None,
    precision: str = "fp32",
    compile_model: bool = False,
    products: MapProducts | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[str], None] = tqdm.write,
    **options: object,
) -> list[SceneResult]:
    """Segment scenes into a folder; under `accelerate launch` or `torchrun` each process takes its share of them.

    A scene that fails does not stop the others.

    Args:
        model, task, devices, precision, compile_model: as `segment_scene`; the model is loaded once. Each process
            has a GPU of its own if `devices` are left out.
        sources: the scenes.
        output: a folder; the maps are called after their scenes. A single scene may have a file of its own.
        products, resume, overwrite: as `segment_scene`.
        report: takes what the user should know, a line at a time.
        **options: further arguments of `segment_scene`.

    Returns:
        The results of this process, in the order of the scenes.

    Raises:
        FileExistsError: one of the files is there already, and neither `resume` nor `overwrite` is set; nothing has
            been done then.
        RuntimeError: scenes failed; the message names them all.
        ValueError: two scenes would have the same map, a scene would be replaced, or as `segment_scene`.
    """
    products = products or MapProducts()
    files = _named_files(sources, output, products)
    require_distinct({source: named.paths() for source, named in files.items()})
    # A process that is done waits for the others, however long: torchrun ends them all when one fails.
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(days=30))
    if devices is None and state.num_processes > 1:
        devices = (str(state.device),)
    own = sources[state.process_index :: state.num_processes]
    if not overwrite:
        for source in own:
            require_new(files[source], resume)
    segmenters = load_segmenters(model, task, devices, precision, compile_model) if own else []
    if not overwrite:
        for source in own:
            require_new(files[source], resume, list(segmenters[0].id2label.values()))
    state.wait_for_everyone()  # nobody begins before all have looked
    results, failures = [], []
    for source in own:
        try:
            results.append(
                segment_scene(
                    segmenters,
                    source,
                    output,
                    task,
                    products=products,
                    resume=resume,
                    overwrite=overwrite,
                    progress=state.is_main_process,
                    report=report,
                    **options,
                )
            )
        except (OSError, ValueError, NonFiniteOutputError) as error:
            if len(sources) == 1:
                raise
            failures.append(f"{source}: {error}")
            report(f"failed: {failures[-1]}")
    state.wait_for_everyone()
    if failures:
        raise RuntimeError(f"{len(failures)} of {len(own)} scenes failed:\n" + "\n".join(failures))
    return results


def _scenes_of(place: str) -> list[str]:
    if Path(place).is_dir():
        return sorted(str(path) for path in Path(place).iterdir() if path.suffix.lower() in SCENE_SUFFIXES)
    return sorted(path for path in glob.glob(place, recursive=True) if Path(path).is_file())  # noqa: PTH207 - ~ and **


def _named_files(
    sources: Sequence[str | Path], output: str | Path, products: MapProducts
) -> dict[str | Path, SceneFiles]:
    if len(sources) > 1 and products.names_polygons:
        raise ValueError(
            f"{len(sources)} scenes cannot share the polygons {products.polygons}; give the suffix alone: "
            f"{Path(products.polygons).suffix}"
        )
    return {source: SceneFiles.named(output_path(source, output), products) for source in sources}
