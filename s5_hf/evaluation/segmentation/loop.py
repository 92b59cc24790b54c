"""The evaluation loop of segmentation: every image once, in one process, whatever the number of processes."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ...metrics import SegmentationCounts
from ...predictors.interfaces import SceneSegmenter
from ..data import EvaluationData, EvaluationImage, EvaluationImages
from .class_maps import class_map_names, open_class_maps, write_class_map
from .prediction import class_probabilities
from .protocol import Protocol

ImageT = TypeVar("ImageT")

__all__ = ["LoopSettings", "count_segmentation", "image_groups"]


@dataclass(frozen=True)
class LoopSettings:
    """How the loop works; nothing here changes the numbers.

    Args:
        batch_size: images per forward pass, where they have one size.
        num_workers: processes that read images; 0 reads in the main one.
        boundary: whether to count boundaries for Boundary IoU.
        class_maps: folder to write the predictions of a segmenter to, `None` for none.
        detections: folder to write the result files of a detector to, in DOTA's Task 1 format, `None` for none.
    """

    batch_size: int = 1
    num_workers: int = 0
    boundary: bool = True
    class_maps: str | Path | None = None
    detections: str | Path | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.num_workers < 0:
            raise ValueError(f"num_workers must not be negative, got {self.num_workers}")


def count_segmentation(
    segmenter: SceneSegmenter,
    data: EvaluationData,
    protocol: Protocol,
    accelerator: Accelerator,
    settings: LoopSettings | None = None,
) -> SegmentationCounts:
    """Predict all images and count their pixels.

    Batches are cut from the list of images before they are shared among the processes, so the same images meet in a
    forward pass with any number of processes, and the counts are identical.

    Returns:
        The counts of all processes, the same in each; all 0 if no image has a mask.

    Raises:
        ValueError: if a mask has another size than its image or holds a value that is no class, an image is not of 8
            bits, there are neither masks nor `class_maps`, or two class maps would have one name.
        NonFiniteOutputError: if the model's outputs are not finite; names the image and the window.
    """
    settings = settings or LoopSettings()
    images = EvaluationImages(data, len(segmenter.image_mean))
    if settings.class_maps is None and images[0].mask is None:
        raise ValueError(
            f"the split {data.split!r} of {data.entry.name} has no masks to compare with: name a folder for the "
            "predicted class maps, or choose another split"
        )
    counts = SegmentationCounts(
        data.labels, data.ignore_index, data.left_out, settings.boundary, device=accelerator.device
    )
    names = {} if settings.class_maps is None else _names_by_id(data)
    maps = nullcontext() if settings.class_maps is None else open_class_maps(settings.class_maps, accelerator)
    with maps as folder:
        for group in image_groups(images, settings, accelerator):
            predicted = _predict(segmenter, group, protocol)
            for image, classes in zip(group, predicted, strict=True):
                if image.mask is not None:
                    counts.update(classes, image.mask)
                if folder is not None:
                    write_class_map(folder / names[image.name], classes.cpu().numpy())
    return counts.reduce(accelerator)


def _predict(segmenter: SceneSegmenter, group: Sequence[EvaluationImage], protocol: Protocol) -> torch.Tensor:
    """Class ids `(images, height, width)` of images of one size."""
    names = [image.name for image in group]
    return class_probabilities(segmenter, np.stack([image.pixels for image in group]), protocol, names).argmax(dim=1)


def image_groups(images: Dataset[ImageT], settings: LoopSettings, accelerator: Accelerator) -> Iterator[list[ImageT]]:
    """The images of this process in batches, each cut where the size changes.

    Args:
        images: decoded by index, with `pixels` `(height, width, channels)`.
        settings: batches and workers.
        accelerator: of this process.
    """
    order = range(len(images))
    batches = [list(order[start : start + settings.batch_size]) for start in order[:: settings.batch_size]]
    own = batches[accelerator.process_index :: accelerator.num_processes]
    loader = DataLoader(images, batch_sampler=own, num_workers=settings.num_workers, collate_fn=list)
    total = sum(map(len, own))
    with tqdm(total=total, desc="evaluation", unit="image", disable=not accelerator.is_main_process) as progress:
        for batch in loader:
            for _, group in groupby(batch, key=lambda image: image.pixels.shape):
                found = list(group)
                yield found
                progress.update(len(found))


def _names_by_id(data: EvaluationData) -> dict[str, str]:
    ids = [str(name) for name in data.samples["id"]]
    return dict(zip(ids, class_map_names(ids), strict=True))
