"""What the evaluation loops share: settings, and images in batches of one size."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from accelerate import Accelerator
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

__all__ = ["LoopSettings", "image_groups"]

ImageT = TypeVar("ImageT")


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
