"""Objects in many scenes, on one process or shared among several."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm import tqdm
from transformers import PreTrainedModel

from ...predictors.image_probabilities import NonFiniteOutputError
from ...predictors.interfaces import SceneDetector
from ...predictors.torch_detector import load_detector
from ..product_paths import require_distinct
from .dota_results import write_task1_results
from .scene_detections import SceneDetections
from .single_scene import check_formats, detect_scene, detection_files, require_new_results

__all__ = ["detect_scenes"]


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
        output: a folder; the files are called after their scenes.
        formats: as `detect_scene`.
        resume: go on with interrupted scenes, and leave those that are done.
        overwrite: replace what is there already.
        report: takes what the user should know, a line at a time.
        **options: further arguments of `detect_scene`.

    Returns:
        The results of this process, in the order of the scenes.

    Raises:
        FileExistsError: one of the files is there already, and neither `resume` nor `overwrite` is set; nothing has
            been done then.
        RuntimeError: scenes failed; the message names them all.
        ValueError: two scenes have the same name, a scene would be replaced, or as `detect_scene`.
    """
    check_formats(formats)
    files = {source: detection_files(source, output, formats) for source in sources}
    require_distinct({source: made.values() for source, made in files.items()})
    # A process that is done waits for the others, however long: torchrun ends them all when one fails.
    state = PartialState(timeout=timedelta(days=30))
    if device is None and state.num_processes > 1:
        device = str(state.device)
    own = sources[state.process_index :: state.num_processes]
    if not overwrite:
        for source in own:
            require_new_results(files[source], output, formats, resume)
    state.wait_for_everyone()  # nobody begins before all have looked
    detector = load_detector(model, task, device, precision) if own else None
    kinds = [kind for kind in formats if kind != "dota"]
    results, failures = [], []
    for source in own:
        try:
            results.append(
                detect_scene(
                    detector,
                    source,
                    output,
                    formats=kinds,
                    resume=resume,
                    overwrite=True,
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
    if "dota" in formats:
        found = gather_object([(result.stem, result.class_names, result.as_tensors()) for result in results])
        if state.is_main_process and found:
            write_task1_results(Path(output) / "Task1", {stem: objects for stem, _, objects in found}, found[0][1])
    state.wait_for_everyone()
    if failures:
        raise RuntimeError(f"{len(failures)} of {len(own)} scenes failed:\n" + "\n".join(failures))
    return results
