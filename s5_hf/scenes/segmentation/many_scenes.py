"""Maps of many scenes, in one process or shared among several."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm
from transformers import PreTrainedModel

from ...predictors.interfaces import SceneSegmenter
from ...predictors.torch_segmenter import load_segmenters
from ..many_scenes import SceneShare
from .scene_result import MapProducts, SceneFiles, SceneResult
from .shared_rows import RowTeam
from .single_scene import segment_scene

__all__ = ["segment_scenes"]


# `detect_scenes` has the same arguments and errors on purpose: each docstring is read alone.
def segment_scenes(
    model: str | Path | PreTrainedModel | SceneSegmenter | Sequence[SceneSegmenter],
    sources: Sequence[str | Path],
    output: str | Path,
    task: str | None = None,
    devices: Sequence[str] | None = None,
    precision: str = "auto-gpu",
    compile_model: bool = False,
    classes: Sequence[str] | None = None,
    products: MapProducts | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[str], None] = tqdm.write,
    **options: object,
) -> list[SceneResult]:
    """Segment scenes into a folder; under `accelerate launch` or `torchrun` each process takes its share of them.

    A scene that fails does not stop the others. If there are fewer scenes than processes, all of them make each scene
    together, a band of its rows each; a scene that fails then ends the run.

    Args:
        model, task, devices, precision, compile_model, classes: as `segment_scene`; the model is loaded once. Each
            process has a GPU of its own if `devices` are left out.
        sources: the scenes.
        output: a folder; the maps are named after their scenes. A single scene may have a file of its own.
        products, resume, overwrite: as `segment_scene`.
        report: takes what the user should know, a line at a time.
        **options: further arguments of `segment_scene`.

    Returns:
        The results of this process, in the order of the scenes; of scenes that are made together, the first process
        has them.

    Raises:
        FileExistsError: a file already exists, and neither `resume` nor `overwrite` is set; nothing has been done
            then.
        RuntimeError: scenes failed; the message names them all.
        ValueError: two scenes would have the same map, a scene would be replaced, or as `segment_scene`.
    """
    products = products or MapProducts()
    if len(sources) > 1 and products.names_polygons:
        raise ValueError(
            f"{len(sources)} scenes cannot share the polygons {products.polygons}; give the suffix alone: "
            f"{Path(products.polygons).suffix}"
        )
    files = {source: SceneFiles.of_scene(source, output, products) for source in sources}
    share = SceneShare({source: named.paths() for source, named in files.items()}, by_rows=True)
    team, is_main = RowTeam(), share.state.is_main_process
    if share.together:
        team = RowTeam(share.state.process_index, share.state.num_processes, share.state.wait_for_everyone)
    if devices is None and share.device is not None:
        devices = (share.device,)

    def require_new(labels: Sequence[str] = ()) -> None:
        for source in () if overwrite else share.own:
            files[source].require_new(resume, labels)

    require_new()
    segmenters = load_segmenters(model, task, devices, precision, compile_model, classes) if share.own else []
    require_new(list(segmenters[0].id2label.values()) if segmenters else ())

    def segment(source: str | Path) -> SceneResult:
        return segment_scene(
            segmenters,
            source,
            output,
            task,
            products=products,
            resume=resume,
            overwrite=overwrite,
            progress=is_main,
            report=report if team.index == 0 else lambda line: None,
            team=team,
            **options,
        )

    results = share.make_all(segment, report)
    share.finish()
    return results if team.index == 0 else []
