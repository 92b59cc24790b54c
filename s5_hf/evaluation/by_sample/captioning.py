"""Evaluation of a network that says what changed: BLEU, METEOR, ROUGE-L and CIDEr-D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelerate import Accelerator
from PIL import Image
from transformers import AutoModel, AutoProcessor

from ...conversion.model_check import require_finite_weights
from ...imaging import image_pixels
from ...imaging.display import display_picture
from ...imaging.sheets import contact_sheet
from ...modeling import MVCCForChangeCaptioning, MVCCProcessor
from ...training.captioning.validation import number_scores, word_scores, write_captions
from ..settings import EvaluationSettings
from .data import load_samples
from .protocol import SampleProtocol, require_plain
from .report import SampleResults

__all__ = ["evaluate_captioner"]

PAIRS = 4


def evaluate_captioner(settings: EvaluationSettings, accelerator: Accelerator) -> SampleResults:
    """Evaluate a network that writes captions of changes. Raises as `run_evaluation`."""
    require_plain(settings, "writes captions", frozenset({"beams"}))
    model = AutoModel.from_pretrained(settings.model)
    processor = AutoProcessor.from_pretrained(settings.model)
    if not isinstance(processor, MVCCProcessor):
        raise OSError(
            f"{settings.model} has no tokenizer: put tokenizer.json, and what belongs to it, beside the weights"
        )
    require_readable(model, settings.model)
    data = load_samples(settings, accelerator, "captioning")
    rows = write_captions(model.eval().to(accelerator.device), data.samples, processor, accelerator, settings.beams)
    return SampleResults(
        model=settings.model,
        task=None,
        data=data,
        protocol=SampleProtocol(
            in_words="greedy, word by word" if settings.beams == 1 else f"beam search with {settings.beams} beams"
        ),
        images=len(data.samples),
        scores={**word_scores(rows, processor), "on_token_numbers": number_scores(rows, processor)},
        metric="bleu_4",
        unit="percent, cider 0 to 10",
        counts={"captions": len(rows)},
        rows=rows,
        rows_file="captions.json",
        sheet=sheet_of(data.samples, rows) if accelerator.is_main_process else None,
        notes=(
            "METEOR has exact matches only. Token numbers: scores as the official code computes them, where all "
            "unknown words are one",
        ),
    )


def require_readable(model: MVCCForChangeCaptioning, name: str) -> None:
    """Raise a ValueError for a model that cannot look at images, or has broken weights."""
    if model.encoder.video is None:
        raise ValueError(f"{name} has no video encoder: it takes features, and cannot look at images")
    require_finite_weights(model, name)


def sheet_of(samples: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    """The first pairs with what is written about them and the first sentence of people."""
    tiles, captions = [], []
    for row in rows[:PAIRS]:
        sample = samples[row["number"]]
        tiles += [display_picture(image_pixels(sample[date])) for date in ("image_before", "image_after")]
        captions += [f"written: {row['caption']}", f"true: {row['references'][0]}"]
    return contact_sheet(tiles, captions, columns=2)
