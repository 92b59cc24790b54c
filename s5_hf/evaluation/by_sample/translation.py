"""Evaluation of a translator: how near its images come to those of the other date."""

from __future__ import annotations

from accelerate import Accelerator

from ...predictors.torch_translator import load_translator
from ...training.translation.validation import compare_dates
from ..settings import EvaluationSettings
from .data import load_samples
from .protocol import SampleProtocol, require_plain
from .report import SampleResults

__all__ = ["evaluate_translator"]

PAIRS = 4


def evaluate_translator(settings: EvaluationSettings, accelerator: Accelerator) -> SampleResults:
    """Evaluate a translator on pairs of two dates. Raises as `run_evaluation`."""
    require_plain(settings, "translates dates")
    translator = load_translator(settings.model, device=accelerator.device)
    data = load_samples(settings, accelerator, "change")
    found = compare_dates(translator.model, data.samples, translator.value_scaling, accelerator, PAIRS)
    return SampleResults(
        model=settings.model,
        task=None,
        data=data,
        protocol=SampleProtocol(in_words="whole images of both dates, compared with those of the other date"),
        images=len(data.samples),
        scores=found.scores(),
        metric="psnr",
        unit="dB",
        counts=found.as_dict(),
        rows=(),
        rows_file="",
        sheet=found.sheet,
        notes=(
            "What has truly changed counts as an error, too, so values of other pairs cannot be compared. "
            "psnr/untranslated: the dates as they are",
        ),
    )
