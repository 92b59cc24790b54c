"""The samples of a split."""

from __future__ import annotations

from accelerate import Accelerator
from datasets import load_dataset

from ...dataset_builders.registry import get_entry
from ..data import EvaluationData
from ..settings import EvaluationSettings

__all__ = ["load_samples"]


def load_samples(settings: EvaluationSettings, accelerator: Accelerator, task: str) -> EvaluationData:
    """Open the split of the settings, by default `test`.

    Args:
        settings: of the evaluation.
        accelerator: of this process; the main one prepares the data first.
        task: that the dataset must be for.

    Raises:
        KeyError: for an unknown dataset; lists the known.
        ValueError: for a dataset for another task, an unknown split, or one without samples.
    """
    entry = get_entry(settings.dataset)
    if entry.task != task:
        raise ValueError(f"{entry.name} is a dataset for {entry.task}, the model is one for {task}")
    split = settings.split or "test"
    with accelerator.main_process_first():
        samples = load_dataset(entry.name, data_dir=settings.data_dir, split=split, **settings.options)
    if len(samples) == 0:
        raise ValueError(f"the split {split!r} of {entry.name} at {settings.data_dir} is empty")
    return EvaluationData(entry=entry, split=split, labels=(), ignore_index=None, left_out=(), samples=samples)
