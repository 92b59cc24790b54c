"""A whole curation from a recipe: score, cluster, select, export, report. Finished steps are not repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from accelerate import Accelerator

from ..files.processes import patient_accelerator
from ..predictors.feature_segmenter import Segmenter
from ..predictors.torch_network import read_input_settings
from .curated_dataset import write_curated_dataset
from .exclusion import hash_images, read_hashes, read_ids
from .prototypes import make_prototypes
from .recipe import CurationRecipe
from .report import write_curation_report
from .score_table import ScoreFolder
from .scoring import score_images
from .selection_folder import make_selection
from .sources import ImageList, open_images

__all__ = ["run_curation", "score_recipe"]


def run_curation(recipe: CurationRecipe, accelerator: Accelerator | None = None) -> Path | None:
    """Do all four steps and write the report.

    Every process of the accelerator scores; the main one does the rest. After a stop, the same call resumes.

    Returns:
        The report's path on the main process, `None` on the others.

    Raises:
        OSError, ValueError: as the steps.
    """
    accelerator = accelerator or patient_accelerator()
    output = Path(recipe.output)
    labelled, scores, images = score_recipe(recipe, accelerator)
    if not accelerator.is_main_process:
        return None
    prototypes = (
        None if labelled is None else make_prototypes(labelled, output / "prototypes.safetensors", recipe.cluster)
    )
    selection = make_selection(
        scores,
        output / "selection",
        recipe.select,
        prototypes,
        excluded_ids=_excluded_ids(recipe),
        excluded_hashes=_excluded_hashes(recipe),
    )
    write_curated_dataset(selection, scores, images, output / "dataset", recipe.export)
    return write_curation_report(selection, scores, images, output / "report.html", f"Curation: {output.name}")


def score_recipe(
    recipe: CurationRecipe, accelerator: Accelerator
) -> tuple[ScoreFolder | None, ScoreFolder, ImageList]:
    """Score the labelled images and the candidates of a recipe, on all processes.

    Returns:
        The scores of the labelled images (`None` where a recipe has none), those of the candidates, and the
        candidates.
    """
    output = Path(recipe.output)
    images = open_images(recipe.candidates)
    segmenter = Segmenter.from_pretrained(
        recipe.model, recipe.task, recipe.precision, accelerator.device, recipe.classes
    )
    labelled = None
    if recipe.labelled:
        folder = output / "labelled-scores"
        labelled = score_images(segmenter, open_images(recipe.labelled), folder, recipe.score, accelerator)
    scores = score_images(segmenter, images, output / "scores", recipe.score, accelerator)
    return labelled, scores, images


def _excluded_ids(recipe: CurationRecipe) -> pa.Array | None:
    return None if recipe.exclude_ids is None else read_ids(recipe.exclude_ids)


def _excluded_hashes(recipe: CurationRecipe) -> np.ndarray | None:
    hashes = []
    if recipe.exclude_hashes is not None:
        hashes.append(read_hashes(recipe.exclude_hashes))
    if recipe.exclude_images:
        images = open_images(recipe.exclude_images)
        score, network = recipe.score, read_input_settings(recipe.model)
        hashes.append(hash_images(images, score.patch_size, score.stride, score.edges, network))
    return np.concatenate(hashes) if hashes else None
