"""A whole curation from a recipe: score, cluster, select, export, report. Finished steps are not repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from accelerate import Accelerator

from ..predictors.feature_segmenter import Segmenter
from .cluster import cluster
from .exclusion import hash_images, read_hashes, read_ids
from .export import export
from .recipe import Recipe
from .report import write_report
from .score import score
from .score_table import ScoreFolder
from .select import SelectionFolder, select
from .sources import ImageList, open_images

__all__ = ["run_recipe", "score_recipe"]


def run_recipe(recipe: Recipe, accelerator: Accelerator | None = None) -> Path | None:
    """Do all four steps and write the report.

    Every process of the accelerator scores; the main one does the rest. After a stop, the same call goes on.

    Returns:
        The report's path on the main process, `None` on the others.

    Raises:
        OSError, ValueError: as the steps.
    """
    accelerator = accelerator or Accelerator()
    output = Path(recipe.output)
    labelled, scores, images = score_recipe(recipe, accelerator)
    if not accelerator.is_main_process:
        return None
    prototypes = cluster(labelled, output / "prototypes.safetensors", recipe.cluster)
    selection = select(
        scores,
        output / "selection",
        recipe.select,
        prototypes,
        excluded_ids=_excluded_ids(recipe),
        excluded_hashes=_excluded_hashes(recipe),
    )
    export(selection, scores, images, output / "dataset", recipe.export)
    return _report(selection, scores, images, output)


def score_recipe(recipe: Recipe, accelerator: Accelerator) -> tuple[ScoreFolder, ScoreFolder, ImageList]:
    """Score the labelled images and the candidates of a recipe, on all processes.

    Returns:
        The scores of the labelled images, those of the candidates, and the candidates.
    """
    output = Path(recipe.output)
    labelled_images, images = open_images(recipe.labelled), open_images(recipe.candidates)
    segmenter = Segmenter.from_pretrained(recipe.model, recipe.task, recipe.precision, accelerator.device)
    labelled = score(segmenter, labelled_images, output / "labelled-scores", recipe.score, accelerator)
    scores = score(segmenter, images, output / "scores", recipe.score, accelerator)
    return labelled, scores, images


def _excluded_ids(recipe: Recipe) -> pa.Array | None:
    return None if recipe.exclude_ids is None else read_ids(recipe.exclude_ids)


def _excluded_hashes(recipe: Recipe) -> np.ndarray | None:
    hashes = []
    if recipe.exclude_hashes is not None:
        hashes.append(read_hashes(recipe.exclude_hashes))
    if recipe.exclude_images:
        images = open_images(recipe.exclude_images)
        hashes.append(hash_images(images, recipe.score.patch_size, recipe.score.stride, recipe.score.edges))
    return np.concatenate(hashes) if hashes else None


def _report(selection: SelectionFolder, scores: ScoreFolder, images: ImageList, output: Path) -> Path:
    return write_report(selection, scores, images, output / "report.html", f"Curation: {output.name}")
