"""Validation of an oriented detector: average precision at IoU 0.5, and a picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from PIL import Image
from tqdm import tqdm

from ...imaging.drawing import draw_oriented_boxes
from ...imaging.sheets import add_legend, contact_sheet
from ...metrics.oriented_average_precision import OrientedAveragePrecision
from ...modeling.image_processing_s5 import S5ImageProcessor
from ...modeling.value_scaling import ValueScaling
from ...predictors.processor_kernels import processor_kernels
from ...semi_supervised.pseudo_labels import evaluating
from ..panels import write_panel
from ..views.oriented import read_sample
from ..views.strong import normalize, to_unit_range
from ..views.weak import resize
from .data import DetectionTaskData

SHOWN_SCORE = 0.3
"""Least score of the boxes in the picture; the metric takes all above 0.05, as published."""
LARGEST_TILE = 640


@dataclass(frozen=True)
class DetectionValidation:
    """How to validate.

    Attributes:
        image_size: longer side that images are resized to, where there is no scale.
        image_scale: factor by which images are resized, `None` for the former.
        mean, std: of the channels, for images in 0..1.
        panel_images: images in the picture.
        scaling: of the values of images that are not of 8 bits.
        colors: channels that are red, green and blue in the picture; the first, in grey, where that is not known.
    """

    image_size: int
    image_scale: float | None
    mean: Sequence[float]
    std: Sequence[float]
    panel_images: int = 4
    scaling: ValueScaling | None = None
    colors: tuple[int, int, int] | None = None

    def resized(self, pixels: np.ndarray) -> np.ndarray:
        """An image uint8 `(height, width, channels)` as the detector gets it."""
        height, width = pixels.shape[:2]
        factor = self.image_size / max(height, width) if self.image_scale is None else self.image_scale
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        return resize(pixels, size, (0, 0, width, height), Image.Resampling.BILINEAR)


@torch.no_grad()
def validate_detector(
    model: torch.nn.Module,
    task: DetectionTaskData,
    settings: DetectionValidation,
    accelerator: Accelerator,
    panel_path: Path | None = None,
) -> dict[str, float]:
    """Detect objects in whole images and compare with their boxes, in pixels of the files.

    The images are shared among the processes and every image counts once. A picture of the first images is written to
    `panel_path`: what is annotated beside what is found.

    Args:
        model: of one task.
        task: with validation images.
        settings: how.
        accelerator: of the run.
        panel_path: of the picture.

    Returns:
        `map50`, the mean over the classes with objects, and `ap50/<class>`, both in percent and as `task.voc07` says;
        `objects/<class>`: how many there are. NaN for a class without objects.

    Raises:
        ValueError: if a sample does not fit the task; names the image.
    """
    samples, rank, world = task.validation, accelerator.process_index, accelerator.num_processes
    metric = OrientedAveragePrecision(labels=task.labels, iou_thresholds=(0.5,))
    tiles: list[Image.Image] = []
    rounds = math.ceil(len(samples) / world)
    with evaluating(model):
        for turn in tqdm(range(rounds), "validation", disable=not accelerator.is_main_process, leave=False):
            index = turn * world + rank
            # Every process makes the same number of forward passes, because sharded weights are gathered in each.
            sample = samples[min(index, len(samples) - 1)]
            pixels, boxes, classes = read_sample(sample, task.name, task.labels, len(settings.mean), settings.scaling)
            found = detect(model, pixels, settings, accelerator)
            if index >= len(samples):
                continue
            difficult = sample["objects"].get("difficult") if not task.voc07 else None
            references = {"boxes": boxes, "labels": classes}
            if difficult is not None:
                references["difficult"] = torch.as_tensor(difficult, dtype=torch.bool)
            metric.add_image(f"{index:09d}", found, references)
            if accelerator.is_main_process and len(tiles) < 2 * settings.panel_images:
                tiles += panel_tiles(pixels[:, :, list(settings.colors or (0, 0, 0))], boxes, classes, found, task)
    if world > 1:
        metric.merge(gather_object([metric.state()]))
    if tiles and panel_path is not None:
        captions = ["annotated", f"found, score above {SHOWN_SCORE}"] * (len(tiles) // 2)
        sheet = contact_sheet(tiles, captions, columns=2, tile_size=LARGEST_TILE)
        write_panel(panel_path, add_legend(sheet, task.labels, task.palette))
    return summarise(metric.compute(), task)


def detect(
    model: torch.nn.Module, pixels: np.ndarray, settings: DetectionValidation, accelerator: Accelerator
) -> dict[str, torch.Tensor]:
    """The objects in an image uint8 `(height, width, channels)`, in its own pixels, on the CPU."""
    images = torch.from_numpy(settings.resized(pixels).copy()).permute(2, 0, 1)[None].to(accelerator.device)
    with accelerator.autocast(), processor_kernels(accelerator.device):
        outputs = model(normalize(to_unit_range(images), settings.mean, settings.std))
    processor = S5ImageProcessor(image_mean=list(settings.mean), image_std=list(settings.std))
    (found,) = processor.post_process_oriented_object_detection(outputs, target_sizes=[pixels.shape[:2]])
    return {name: values.cpu() for name, values in found.items()}


def summarise(scores: dict[str, Any], task: DetectionTaskData) -> dict[str, float]:
    """The values of [`validate_detector`] from those of the metric."""
    ending = "_voc07" if task.voc07 else ""
    values = {"map50": 100 * scores[f"map_50{ending}"]}
    for label, found in scores["per_class"].items():
        values[f"ap50/{label}"] = 100 * found[f"ap_50{ending}"]
        values[f"objects/{label}"] = float(found["references"])
    return values


def panel_tiles(
    pixels: np.ndarray,
    boxes: torch.Tensor,
    classes: torch.Tensor,
    found: dict[str, torch.Tensor],
    task: DetectionTaskData,
) -> list[Image.Image]:
    """The image in colours, uint8 `(height, width, 3)`, with the annotated boxes, and with those that were found."""
    shown = Image.fromarray(pixels)
    sure = found["scores"] > SHOWN_SCORE
    return [
        draw_oriented_boxes(shown, boxes.numpy(), classes.numpy(), task.palette, width=1),
        draw_oriented_boxes(shown, found["boxes"][sure].numpy(), found["labels"][sure].numpy(), task.palette, width=1),
    ]
