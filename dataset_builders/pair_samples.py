"""Raw samples of two dates: both images stay encoded, masks are brought to class ids, all have one size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import SampleError
from .images import decode
from .masks import encode_mask
from .samples import ImageFile, MaskReader
from .shards import Record, Sample


@dataclass(frozen=True)
class DatesReader(MaskReader):
    """Base of the readers of records that begin with the images of two dates and end with the id."""

    def dates(self, record: Record) -> tuple[ImageFile, ImageFile]:
        """The images before and after.

        Raises:
            SampleError: if they differ in size.
        """
        before, after = self.image(record[0]), self.image(record[1])
        if before.header.size != after.header.size:
            (width, height), (other_width, other_height) = before.header.size, after.header.size
            raise SampleError(
                f"{before.location} has {width} x {height} pixels, {after.location} has {other_width} x {other_height}"
            )
        return before, after


@dataclass(frozen=True)
class PairReader(DatesReader):
    """Reads (before, after, mask, id) records; the mask may be empty for splits without labels."""

    def read(self, record: Record) -> Sample:
        before, after = self.dates(record)
        mask = self.mask(record[2], before)
        return {
            "image_before": before.value,
            "image_after": after.value,
            "mask": None if mask is None else self.mask_value(mask, before, after),
            "id": record[3],
        }


@dataclass(frozen=True)
class ClassesReader(DatesReader):
    """Reads (before, after, mask before, mask after, id) records of datasets with a class at both dates.

    Class 0 is "unchanged". The mask of changes is made of the two: 1 where either date has another class.
    """

    def read(self, record: Record) -> Sample:
        before, after = self.dates(record)
        masks = [self.mask(path, before) for path in record[2:4]]
        ids = [None if mask is None else self.class_ids(mask) for mask in masks]
        return {
            "image_before": before.value,
            "image_after": after.value,
            "mask": _png(changed(*ids, self.ignore_index)) if all(mask is not None for mask in masks) else None,
            "mask_before": _png(ids[0]),
            "mask_after": _png(ids[1]),
            "id": record[4],
        }

    def class_ids(self, mask: ImageFile) -> np.ndarray:
        """Class ids of a mask, uint8 `(height, width)`."""
        return self.encoding.class_ids(decode(mask.content, mask.location), mask.location)


def changed(before: np.ndarray, after: np.ndarray, ignore_index: int) -> np.ndarray:
    """1 where either date has a class but 0, uint8 `(height, width)`; `ignore_index` where either date has that."""
    either = ((before != 0) | (after != 0)).astype(np.uint8)
    return np.where((before == ignore_index) | (after == ignore_index), np.uint8(ignore_index), either)


def _png(ids: np.ndarray | None) -> dict | None:
    return None if ids is None else {"bytes": encode_mask(ids), "path": None}
