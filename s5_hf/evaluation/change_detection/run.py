"""One evaluation of a trained change detector."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from accelerate import Accelerator
from transformers import AutoConfig

from ...dataset_builders.registry import get_entry
from ...files.atomic import require_absent
from ...metrics.percent import in_percent
from ...modeling.change_classes import CHANGE_LABELS
from ...predictors.tasks import choose_task
from ...predictors.torch_change import load_change_detectors
from ...predictors.torch_network import read_input_settings
from ..data import check_classes, load_evaluation_data
from ..segmentation.loop import count_segmentation
from ..settings import EvaluationSettings
from .pair_data import PairImages, data_of_task
from .protocol import ChangeProtocol
from .report import ChangeResults, change_scores

__all__ = ["evaluate_change_detector"]


def evaluate_change_detector(settings: EvaluationSettings, accelerator: Accelerator) -> ChangeResults:
    """Evaluate a trained change detector on pairs; see `run_evaluation`.

    Raises:
        FileExistsError, FileNotFoundError, KeyError, ValueError: as `run_evaluation`.
    """
    entry, loop = get_entry(settings.dataset), settings.loop
    if settings.classes or settings.names or loop.detections is not None or settings.apply_class_map:
        raise ValueError("classes, names, class maps of models and result files of detections are not for pairs")
    protocol = ChangeProtocol.choose(entry, settings.protocol, **settings.protocol_changes)
    if loop.class_maps is not None:
        require_absent(Path(loop.class_maps))
    config = AutoConfig.from_pretrained(settings.model)
    task = choose_task(config.tasks, settings.task)
    (detector,) = load_change_detectors(settings.model, task, (accelerator.device,), settings.precision)
    labels, date_classes = tuple(config.tasks[task]), config.date_classes.get(task, [])
    options = dict(settings.options)
    if not date_classes and labels != CHANGE_LABELS and entry.labels == CHANGE_LABELS:
        options.setdefault("classes", list(labels))
    with accelerator.main_process_first():  # it prepares the data, the others find it prepared
        source = (settings.dataset, settings.split, settings.data_dir)
        data = load_evaluation_data(*source, labels, options, settings.left_out, "change")
    if "classes" in options:
        data = dataclasses.replace(data, labels=tuple(options["classes"]))
    data = data_of_task(data, date_classes, settings.by_position)
    check_classes(labels, data, settings.by_position)
    images = PairImages(data, read_input_settings(settings.model), len(date_classes))
    counts = count_segmentation(detector, data, protocol, accelerator, loop, images)
    scores = None
    if counts.confusion.counts.sum():
        of_change = change_scores(counts.confusion.counts, len(date_classes))
        scores = in_percent({**counts.scores(settings.leave_out_absent), "change": of_change})
    return ChangeResults(
        model=settings.model,
        task=task,
        data=data,
        protocol=protocol,
        images=len(data.samples),
        scores=scores,
        class_maps=loop.class_maps,
    )
