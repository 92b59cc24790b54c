"""Objects in many scenes, in one process or shared among several."""

from collections.abc import Callable, Sequence
from pathlib import Path

from accelerate.utils import gather_object
from tqdm import tqdm
from transformers import PreTrainedModel

from ...predictors.interfaces import SceneDetector
from ...predictors.torch_detector import load_detector
from ..many_scenes import SceneShare
from .dota_results import write_task1_results
from .scene_detections import SceneDetections
from .single_scene import check_formats, detect_scene, detection_files, require_new_results

__all__ = ["detect_scenes"]


# A twin of `segment_scenes` in its arguments and errors on purpose: each docstring is read alone.
def detect_scenes(
    model: str | Path | PreTrainedModel | SceneDetector,
    sources: Sequence[str | Path],
    output: str | Path,
    task: str | None = None,
    formats: Sequence[str] = ("json", "geojson", "overlay"),
    device: str | None = None,
    precision: str = "fp32",
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[str], None] = tqdm.write,
    **options: object,
) -> list[SceneDetections]:
    """Find objects in scenes; under `accelerate launch` or `torchrun` each process takes its share of them.

    A scene that fails does not stop the others. DOTA's result files, if asked for, are written into `Task1` at the
    end, for all scenes that are done.

    Args:
        model, task, device, precision: as `detect_scene`; the model is loaded once. Each process has a GPU of its own
            if `device` is left out.
        sources: the scenes.
        output: a folder; the files are named after their scenes.
        formats: as `detect_scene`.
        resume: resume interrupted scenes, and leave those that are done.
        overwrite: replace existing files.
        report: takes what the user should know, a line at a time.
        **options: further arguments of `detect_scene`.

    Returns:
        The results of this process, in the order of the scenes.

    Raises:
        FileExistsError: a file already exists, and neither `resume` nor `overwrite` is set; nothing has been done
            then.
        RuntimeError: scenes failed; the message names them all.
        ValueError: two scenes have the same name, a scene would be replaced, or as `detect_scene`.
    """
    check_formats(formats)
    files = {source: detection_files(source, output, formats) for source in sources}
    share = SceneShare({source: made.values() for source, made in files.items()})
    for source in () if overwrite else share.own:
        require_new_results(files[source], output, formats, resume)
    detector = load_detector(model, task, device or share.device, precision) if share.own else None

    def detect(source: str | Path) -> SceneDetections:
        return detect_scene(
            detector,
            source,
            output,
            formats=[kind for kind in formats if kind != "dota"],
            resume=resume,
            overwrite=True,
            progress=share.state.is_main_process,
            report=report,
            **options,
        )

    results = share.make_all(detect, report)
    if "dota" in formats:
        found = gather_object([(result.stem, result.class_names, result.as_tensors()) for result in results])
        if share.state.is_main_process and found:
            write_task1_results(Path(output) / "Task1", {stem: objects for stem, _, objects in found}, found[0][1])
    share.finish()
    return results
