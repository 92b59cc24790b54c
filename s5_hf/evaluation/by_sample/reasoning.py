"""Evaluation of a network that answers questions with masks: gIoU, cIoU and P@t, counted as published."""

from __future__ import annotations

from accelerate import Accelerator

from ...metrics.percent import in_percent
from ...predictors.question_segmenter import load_parts
from ...training.reasoning.validation import answer_questions
from ..settings import EvaluationSettings
from .data import load_samples
from .protocol import SampleProtocol, require_plain
from .report import SampleResults

__all__ = ["evaluate_reasoner"]

REFERRING = ("s5-refsegrs", "s5-rrsis-d")
"""Datasets whose words refer to something; those of the others are questions."""

IMAGES = 8


def evaluate_reasoner(settings: EvaluationSettings, accelerator: Accelerator) -> SampleResults:
    """Evaluate a network that answers questions. Raises as `run_evaluation`."""
    require_plain(settings, "answers questions", frozenset({"kind"}))
    model, processor = load_parts(settings.model)
    data = load_samples(settings, accelerator, "reasoning")
    kind = settings.kind or ("referring" if settings.dataset in REFERRING else "reasoning")
    if data.samples[0]["mask"] is None:
        raise ValueError(f"the split {data.split!r} of {data.entry.name} has no masks to compare with")
    found = answer_questions(model.to(accelerator.device), data.samples, processor, kind, accelerator, IMAGES)
    side = processor.image_processor.side
    return SampleResults(
        model=settings.model,
        task=None,
        data=data,
        protocol=SampleProtocol(
            in_words=f"images in a square of {side} px, in which pixels are counted, as published; prompts for {kind}"
        ),
        images=len(data.samples),
        scores=in_percent(found.counts.scores()),
        metric="gIoU",
        unit="percent",
        counts=found.counts.as_dict(),
        rows=found.rows,
        rows_file="answers.json",
        sheet=found.sheet,
    )
