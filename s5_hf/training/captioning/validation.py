"""Validation of a captioner: its sentences against those of people."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from ...files.atomic import write_text
from ...metrics import caption_scores_of, in_percent
from ...metrics.caption_scores import Caption
from ...modeling import MVCCForChangeCaptioning, MVCCProcessor
from ...semi_supervised.pseudo_labels import evaluating
from .batches import pair_inputs
from .caption_words import words_of


def validate_captioner(
    model: MVCCForChangeCaptioning,
    samples: Any,
    processor: MVCCProcessor,
    accelerator: Accelerator,
    sentences_path: Path | None = None,
) -> dict[str, float]:
    """The scores of `word_scores` of greedy sentences; these are written to the JSON file `sentences_path`."""
    rows = write_captions(model, samples, processor, accelerator)
    if sentences_path is not None and accelerator.is_main_process:
        sentences_path.parent.mkdir(parents=True, exist_ok=True)
        write_text(sentences_path, json.dumps(rows, indent=1) + "\n")
    return word_scores(rows, processor)


@torch.no_grad()
def write_captions(
    model: MVCCForChangeCaptioning,
    samples: Any,
    processor: MVCCProcessor,
    accelerator: Accelerator,
    beams: int = 1,
) -> list[dict[str, Any]]:
    """Write a sentence for every pair.

    Args:
        model: the bare network.
        samples: with `image_before`, `image_after`, `mask`, `captions` and `id`.
        processor: of the network.
        accelerator: of the run; its processes share the samples.
        beams: of the search; with 1 each word is the likeliest.

    Returns:
        For every pair, in their order, its `number`, `id`, `caption` and `references`; on every process.
    """
    rank, world = accelerator.process_index, accelerator.num_processes
    written = []
    with evaluating(model):
        for turn in tqdm(range(math.ceil(len(samples) / world)), "captions", leave=False, disable=bool(rank)):
            index = turn * world + rank
            # Every process makes the same number of forward passes, because sharded weights are gathered in each.
            sample = samples[min(index, len(samples) - 1)]
            inputs = {
                name: tensor[None].to(accelerator.device) for name, tensor in pair_inputs(processor, sample).items()
            }
            with accelerator.autocast():
                (sentence,) = processor.decode_captions(model.generate(**inputs, num_beams=beams))
            if index < len(samples):
                references = list(sample["captions"])
                written.append(
                    {"number": index, "id": str(sample["id"]), "caption": sentence, "references": references}
                )
    return sorted(gather_object(written), key=lambda row: row["number"])


def word_scores(rows: Sequence[Mapping[str, Any]], processor: MVCCProcessor) -> dict[str, float]:
    """BLEU-1 to BLEU-4, METEOR (exact matches) and ROUGE-L in percent, and `cider` on its scale of 0 to 10."""
    return _scores(rows, lambda sentence: words_of(processor.tokenizer, sentence))


def number_scores(rows: Sequence[Mapping[str, Any]], processor: MVCCProcessor) -> dict[str, float]:
    """The same of the numbers of the words, as officially: all words that the network does not know are one."""
    tokenizer = processor.tokenizer
    return _scores(rows, lambda sentence: tokenizer.convert_tokens_to_ids(words_of(tokenizer, sentence)))


def _scores(rows: Sequence[Mapping[str, Any]], parts_of: Callable[[str], Caption]) -> dict[str, float]:
    references = [[parts_of(one) for one in row["references"]] for row in rows]
    scores = caption_scores_of(references, [parts_of(row["caption"]) for row in rows])
    return {name: score if name == "cider" else in_percent(score) for name, score in scores.items()}
