"""Validation of a segmenter: mIoU, and what its pseudo-labels would be worth."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from tqdm import tqdm

from ..imaging.drawing import colorize_mask
from ..imaging.sheets import add_legend, contact_sheet
from ..metrics import ConfusionMatrix
from ..metrics.segmentation_scores import intersection_over_union
from ..modeling.value_scaling import ValueScaling
from ..predictors.processor_kernels import processor_kernels
from ..semi_supervised.pseudo_labels import predict, reaches
from .panels import write_panel
from .views.sample_reader import IGNORED, ONE_IMAGE, SampleReader
from .views.strong import normalize, to_unit_range


@dataclass(frozen=True)
class ValidationSettings:
    """How to validate.

    Attributes:
        labels: class names.
        ignore_index: mask value without a class.
        mean_excludes: classes left out of mIoU (iSAID leaves out its background).
        threshold: confidence from which on a pseudo-label would count: a number, or one per class, `(classes,)`.
        mean, std: of the channels, for images in 0..1.
        palette: a colour per class.
        panel_images: images in the picture.
        scaling: of the values of images that are not of 8 bits.
        colors: positions of red, green and blue among the channels; without them the first is shown in grey.
        reader: of the columns of a sample.
        more_scores: further values from the counts, labels in rows and predictions in columns.
    """

    labels: Sequence[str]
    ignore_index: int
    mean_excludes: Sequence[str]
    threshold: float | torch.Tensor
    mean: Sequence[float]
    std: Sequence[float]
    palette: Sequence[tuple[int, int, int]]
    panel_images: int = 4
    scaling: ValueScaling | None = None
    colors: tuple[int, int, int] | None = (0, 1, 2)
    reader: SampleReader = ONE_IMAGE
    more_scores: Callable[[torch.Tensor], dict[str, float]] | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.mean_excludes) - set(self.labels))
        if unknown:
            raise ValueError(f"mean_excludes names {', '.join(unknown)}; the classes: {', '.join(self.labels)}")
        if len(set(self.mean_excludes)) == len(self.labels):
            raise ValueError("mean_excludes leaves no class for the mean")


@torch.no_grad()
def validate(
    model: torch.nn.Module,
    samples: Sequence[Any],
    settings: ValidationSettings,
    accelerator: Accelerator,
    panel_path: Path | None = None,
) -> dict[str, float]:
    """Predict whole images at their own size and compare with their masks.

    The images are shared among the processes and every image counts once, so the values do not depend on the number
    of processes. A picture of the first images is written to `panel_path`: image, prediction, confidence,
    pseudo-label.

    Returns:
        `miou` and `iou/<class>`, in percent. As shares, 0..1: `confident_share/<class>`: of the pixels predicted as
        the class, those above the threshold; `confident_accuracy`: right ones among the confident pixels;
        `confident_recall/<class>`: of the pixels that are of the class, those that are confident and right;
        `confident_precision/<class>`: of the confident pixels predicted as the class, the right ones;
        `histogram_drift`: total variation distance between the class histograms of the confident pixels and of the
        labels. NaN for what does not occur.

    Raises:
        ValueError: if there are no samples or a mask does not fit.
    """
    if len(samples) == 0:
        raise ValueError("the validation dataset is empty: it has no samples")
    count, rank, world = len(settings.labels), accelerator.process_index, accelerator.num_processes
    everything, confident = (ConfusionMatrix(count, IGNORED, accelerator.device) for _ in range(2))
    predicted = torch.zeros(2, count, dtype=torch.int64, device=accelerator.device)  # all pixels, confident ones
    captions = [*settings.reader.captions, "prediction", "confidence", "pseudo-label"]
    tiles: list[Image.Image] = []
    rounds = math.ceil(len(samples) / world)
    for turn in tqdm(range(rounds), "validation", disable=not accelerator.is_main_process, leave=False):
        index = turn * world + rank
        # Every process makes the same number of forward passes, because sharded weights are gathered in each.
        sample = samples[min(index, len(samples) - 1)]
        pixels = settings.reader.pixels(sample, settings.scaling)
        row = settings.reader.arranged(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
        images = to_unit_range(row[None].to(accelerator.device))
        with accelerator.autocast(), processor_kernels(accelerator.device):
            found = predict(model, normalize(images, settings.mean, settings.std))
        if index >= len(samples):
            continue
        name = str(sample.get("id", index))
        mask = settings.reader.mask(sample, count, settings.ignore_index, name)
        labels = torch.from_numpy(mask.astype(np.int64)).to(accelerator.device)
        sure = reaches(found.labels[0], found.confidence[0], settings.threshold)
        for place, (matrix, chosen) in enumerate(((everything, torch.ones_like(sure)), (confident, sure))):
            matrix.update(found.labels[0][chosen], labels[chosen])
            predicted[place] += torch.bincount(found.labels[0][chosen], minlength=count)
        if accelerator.is_main_process and len(tiles) < len(captions) * settings.panel_images:
            tiles += panel_tiles(pixels, found.labels[0], found.confidence[0], sure, settings)
    everything, confident = everything.reduce(accelerator), confident.reduce(accelerator)
    predicted = accelerator.reduce(predicted, "sum").cpu()
    if tiles and panel_path is not None:
        sheet = contact_sheet(tiles, captions * (len(tiles) // len(captions)))
        write_panel(panel_path, add_legend(sheet, settings.labels, list(settings.palette)[:count]))
    return summarise(everything, confident, predicted, settings)


def summarise(
    everything: ConfusionMatrix, confident: ConfusionMatrix, predicted: torch.Tensor, settings: ValidationSettings
) -> dict[str, float]:
    """The values of [`validate`] from its counts."""
    left_out = [index for index, label in enumerate(settings.labels) if label in settings.mean_excludes]
    values = {
        "miou": 100 * everything.mean_iou(left_out),
        "confident_accuracy": confident.overall_accuracy(),
        "confident_share": (predicted[1].sum() / predicted[0].sum()).item(),
        "histogram_drift": histogram_distance(predicted[1], everything.counts.sum(1).cpu()),
    }
    iou = intersection_over_union(everything.counts)
    shares = predicted[1].double() / predicted[0].double()
    right = confident.counts.diag().double()
    recall, precision = right / everything.counts.sum(1), right / confident.counts.sum(0)
    for index, label in enumerate(settings.labels):
        values[f"iou/{label}"] = 100 * iou[index].item()
        values[f"confident_share/{label}"] = shares[index].item()
        values[f"confident_recall/{label}"] = recall[index].item()
        values[f"confident_precision/{label}"] = precision[index].item()
    return values if settings.more_scores is None else values | settings.more_scores(everything.counts)


def histogram_distance(first: torch.Tensor, second: torch.Tensor) -> float:
    """Total variation distance between two histograms, 0 (equal) to 1; NaN if one is empty."""
    first, second = first.double(), second.double()
    return (0.5 * (first / first.sum() - second / second.sum()).abs().sum()).item()


def panel_tiles(
    pixels: np.ndarray,
    predicted: torch.Tensor,
    confidence: torch.Tensor,
    confident: torch.Tensor,
    settings: ValidationSettings,
) -> list[Image.Image]:
    """The images, prediction, confidence (black 0, white 1) and pseudo-label (grey below the threshold)."""
    classes = predicted.cpu().numpy().astype(np.uint8)
    sure = confidence.float().cpu().numpy()
    pseudo_label = np.where(confident.cpu().numpy(), classes, IGNORED).astype(np.uint8)
    images = np.split(pixels, len(settings.reader.columns), axis=2)
    palette = list(settings.palette)[: len(settings.labels)]
    return [
        *(Image.fromarray(np.ascontiguousarray(image[:, :, list(settings.colors or (0, 0, 0))])) for image in images),
        colorize_mask(classes, palette),
        Image.fromarray((sure * 255).astype(np.uint8)).convert("RGB"),
        colorize_mask(pseudo_label, palette, ignore_index=IGNORED),
    ]
