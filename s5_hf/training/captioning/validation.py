"""Validation of a captioner: its sentences against those of people."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from ...files.atomic import write_text
from ...metrics import caption_scores_of, in_percent
from ...modeling import MVCCForChangeCaptioning, MVCCProcessor
from .batches import pair_inputs
from .caption_words import words_of


@torch.no_grad()
def validate_captioner(
    model: MVCCForChangeCaptioning,
    samples: Any,
    processor: MVCCProcessor,
    accelerator: Accelerator,
    sentences_path: Path | None = None,
) -> dict[str, float]:
    """Write a sentence for every pair, word by word the likeliest, and compare.

    Args:
        model: the bare network.
        samples: with `image_before`, `image_after`, `mask`, `captions` and `id`.
        processor: of the network.
        accelerator: of the run; its processes share the samples.
        sentences_path: JSON file for the sentences.

    Returns:
        BLEU-1 to BLEU-4, METEOR (exact matches) and ROUGE-L in percent, and `cider` on its scale of 0 to 10.
    """
    was_training = model.training
    model.eval()
    rank, world = accelerator.process_index, accelerator.num_processes
    written = []
    for turn in tqdm(range(math.ceil(len(samples) / world)), "validation", leave=False, disable=bool(rank)):
        index = turn * world + rank
        # Every process makes the same number of forward passes, because sharded weights are gathered in each.
        sample = samples[min(index, len(samples) - 1)]
        inputs = {name: tensor[None].to(accelerator.device) for name, tensor in pair_inputs(processor, sample).items()}
        with accelerator.autocast():
            (sentence,) = processor.decode_captions(model.generate(**inputs))
        if index < len(samples):
            references = list(sample["captions"])
            written.append({"number": index, "id": str(sample["id"]), "caption": sentence, "references": references})
    model.train(was_training)
    rows = sorted(gather_object(written), key=lambda row: row["number"])
    if sentences_path is not None and accelerator.is_main_process:
        sentences_path.parent.mkdir(parents=True, exist_ok=True)
        write_text(sentences_path, json.dumps(rows, indent=1) + "\n")
    references = [[words_of(processor.tokenizer, one) for one in row["references"]] for row in rows]
    scores = caption_scores_of(references, [words_of(processor.tokenizer, row["caption"]) for row in rows])
    return {name: score if name == "cider" else in_percent(score) for name, score in scores.items()}
