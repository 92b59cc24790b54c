"""Validation of a network that answers questions with masks: gIoU, cIoU, P@t, and a picture."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from PIL import Image
from tqdm import tqdm

from ...imaging import image_pixels
from ...imaging.sheets import contact_sheet
from ...metrics import ReasoningCounts, in_percent
from ...modeling import SegEarthR1Processor
from ...predictors.processor_kernels import processor_kernels
from ...semi_supervised.pseudo_labels import evaluating
from ..panels import write_panel

TILE = 320
TRUE, FOUND = (44, 160, 44), (214, 39, 40)


@dataclass(frozen=True)
class Answers:
    """What a network answers to the questions of samples.

    Attributes:
        counts: of all processes, the same in each.
        rows: for every sample, in their order, its `number`, `id`, `question` and `iou`.
        sheet: picture of the first samples, the true mask green, the found one red; on the main process, and only if
            there are to be some.
    """

    counts: ReasoningCounts
    rows: list[dict[str, Any]]
    sheet: Image.Image | None


def validate_reasoner(
    model: torch.nn.Module,
    samples: Any,
    processor: SegEarthR1Processor,
    kind: str,
    accelerator: Accelerator,
    panel_path: Path | None = None,
    panel_images: int = 4,
) -> dict[str, float]:
    """The scores of `answer_questions`: `gIoU`, `cIoU` and `P@0.5` to `P@0.9`, in percent.

    A picture of the first samples is written to `panel_path`.
    """
    shown = panel_images if panel_path is not None else 0
    answers = answer_questions(model, samples, processor, kind, accelerator, shown)
    if panel_path is not None and answers.sheet is not None:
        write_panel(panel_path, answers.sheet)
    return in_percent(answers.counts.scores())


@torch.no_grad()
def answer_questions(
    model: torch.nn.Module,
    samples: Any,
    processor: SegEarthR1Processor,
    kind: str,
    accelerator: Accelerator,
    shown: int = 4,
) -> Answers:
    """Answer the questions of samples and compare with their masks, in the frame of the network, as published.

    The samples are shared among the processes, and each counts once.

    Args:
        model: the bare network.
        samples: with `image`, `mask` and `question`.
        processor: of the network.
        kind: of the prompt.
        accelerator: of the run.
        shown: samples in the picture.
    """
    counts, tiles, captions, rows = ReasoningCounts(), [], [], []
    rank, world = accelerator.process_index, accelerator.num_processes
    with evaluating(model):
        for turn in tqdm(range(math.ceil(len(samples) / world)), "questions", leave=False, disable=bool(rank)):
            index = turn * world + rank
            # Every process makes the same number of forward passes, because sharded weights are gathered in each.
            sample = samples[min(index, len(samples) - 1)]
            pixels = image_pixels(sample["image"])
            inputs = processor(pixels, sample["question"], segmentation_maps=np.asarray(sample["mask"]), kind=kind)
            truth = inputs.pop("mask_labels")[0] > 0
            inputs = {name: tensor.to(accelerator.device) for name, tensor in inputs.items()}
            with accelerator.autocast(), processor_kernels(accelerator.device):
                output = model(**inputs)
            if index >= len(samples):
                continue
            found = processor.image_processor.frame_logits(output)[0].cpu() > 0
            overlap = counts.update(found, truth)
            name = str(sample.get("id", index))
            rows.append({"number": index, "id": name, "question": sample["question"], "iou": overlap})
            if rank == 0 and len(captions) < 2 * shown:
                (mask,) = processor.post_process_masks(output, [pixels.shape[:2]])
                tiles += [
                    tinted(pixels, np.asarray(sample["mask"]) > 0, TRUE),
                    tinted(pixels, mask.cpu().numpy(), FOUND),
                ]
                captions += [sample["question"], f"IoU {overlap:.2f}"]
    sheet = contact_sheet(tiles, captions, columns=4, tile_size=TILE) if tiles else None
    rows = sorted(gather_object(rows), key=lambda row: row["number"])
    return Answers(counts.reduce(accelerator), rows, sheet)


def tinted(pixels: np.ndarray, mask: np.ndarray, color: tuple[int, int, int]) -> Image.Image:
    """An image uint8 `(height, width, 3)` with a mask in a colour over it."""
    shown = pixels[..., :3].astype(np.float32)
    shown[mask] = 0.45 * shown[mask] + 0.55 * np.array(color, np.float32)
    return Image.fromarray(shown.astype(np.uint8))
