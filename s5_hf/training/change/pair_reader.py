"""How a sample of two dates becomes pixels and labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ...modeling.change_classes import from_to_ids
from ..views.sample_reader import IGNORED, SampleReader, checked_mask

DATE_MASKS = ("mask_before", "mask_after")


@dataclass(frozen=True)
class PairReader(SampleReader):
    """Reads the images of two dates, and what changed.

    Attributes:
        date_classes: classes of each date, where the labels are changes from one to another; 0 where they are not.
    """

    columns: ClassVar[tuple[str, ...]] = ("image_before", "image_after")
    captions: ClassVar[tuple[str, ...]] = ("before", "after")
    date_classes: int = 0

    def mask(
        self, sample: Mapping[str, Any], num_labels: int, ignore_index: int, name: str, stream: str = "validation"
    ) -> np.ndarray:
        """Class ids `(height, width)`, 255 where a pixel is ignored; of `mask`, or of the masks of both dates."""
        if not self.date_classes:
            return super().mask(sample, num_labels, ignore_index, name, stream)
        dates = [
            checked_mask(self.column(sample, column, name, stream), self.date_classes + 1, ignore_index, name)
            for column in DATE_MASKS
        ]
        before, after = (torch.from_numpy(date.astype(np.int64)) for date in dates)
        return from_to_ids(before, after, self.date_classes, IGNORED).numpy().astype(np.uint8)

    def arranged(self, pixels: torch.Tensor) -> torch.Tensor:
        """`(2, channels, height, width)`."""
        return pixels.unflatten(0, (len(self.columns), -1))
