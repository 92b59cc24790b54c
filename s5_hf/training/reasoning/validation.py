"""Validation of a network that answers questions with masks: gIoU, cIoU, P@t, and a picture."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from tqdm import tqdm

from ...imaging import image_pixels
from ...imaging.sheets import contact_sheet
from ...metrics import ReasoningCounts, in_percent
from ...modeling import SegEarthR1Processor
from ...predictors.processor_kernels import processor_kernels
from ..panels import write_panel

TILE = 320
TRUE, FOUND = (44, 160, 44), (214, 39, 40)


@torch.no_grad()
def validate_reasoner(
    model: torch.nn.Module,
    samples: Any,
    processor: SegEarthR1Processor,
    kind: str,
    accelerator: Accelerator,
    panel_path: Path | None = None,
    panel_images: int = 4,
) -> dict[str, float]:
    """Answer the questions of samples and compare with their masks, in the frame of the network, as published.

    The samples are shared among the processes, and each counts once.

    Args:
        model: the network, prepared.
        samples: with `image`, `mask` and `question`.
        processor: of the network.
        kind: of the prompt.
        accelerator: of the run.
        panel_path: of a picture of the first samples: the true mask green, the found one red.
        panel_images: how many of them.

    Returns:
        `gIoU`, `cIoU` and `P@0.5` to `P@0.9`, in percent.
    """
    was_training = model.training
    model.eval()
    counts, tiles, captions = ReasoningCounts(), [], []
    rank, world = accelerator.process_index, accelerator.num_processes
    for turn in tqdm(range(math.ceil(len(samples) / world)), "validation", leave=False, disable=bool(rank)):
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
        if rank == 0 and len(captions) < 2 * panel_images:
            (mask,) = processor.post_process_masks(output, [pixels.shape[:2]])
            tiles += [tinted(pixels, np.asarray(sample["mask"]) > 0, TRUE), tinted(pixels, mask.cpu().numpy(), FOUND)]
            captions += [sample["question"], f"IoU {overlap:.2f}"]
    model.train(was_training)
    if panel_path is not None and tiles:
        write_panel(panel_path, contact_sheet(tiles, captions, columns=4, tile_size=TILE))
    return {name: in_percent(score) for name, score in counts.reduce(accelerator).scores().items()}


def tinted(pixels: np.ndarray, mask: np.ndarray, color: tuple[int, int, int]) -> Image.Image:
    """An image uint8 `(height, width, 3)` with a mask in a colour over it."""
    shown = pixels[..., :3].astype(np.float32)
    shown[mask] = 0.45 * shown[mask] + 0.55 * np.array(color, np.float32)
    return Image.fromarray(shown.astype(np.uint8))
