"""Masks as bits, for the many candidates of which only a few survive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .masks import Masks, surviving_boxes

__all__ = ["PackedMasks"]


@dataclass(frozen=True)
class PackedMasks:
    """Masks of one image, the pixels of their boxes packed to bits: an eighth of what `Masks` takes.

    Attributes:
        height, width: of the image in pixels.
        boxes, scores: as `Masks` has them.
        bits: of each mask its crop, row by row, uint8.
    """

    height: int
    width: int
    boxes: np.ndarray
    scores: np.ndarray
    bits: tuple[np.ndarray, ...]

    @classmethod
    def joined(cls, height: int, width: int, parts: Iterable[Masks]) -> PackedMasks:
        """The masks of several sets, one set after the other; each set is packed before the next one is asked for."""
        boxes, scores, bits = [np.zeros((0, 4), dtype=np.int64)], [np.zeros(0, dtype=np.float32)], []
        for part in parts:
            boxes.append(part.boxes)
            scores.append(part.scores)
            bits += [np.packbits(crop) for crop in part.crops]
        return cls(height, width, np.concatenate(boxes), np.concatenate(scores), tuple(bits))

    def __len__(self) -> int:
        return len(self.bits)

    def survivors(self, iou_threshold: float) -> Masks:
        """The masks that survive by their boxes, best score first; see `Masks.nms`."""
        kept = surviving_boxes(self.boxes, self.scores, iou_threshold)
        crops = tuple(self._crop(index) for index in kept)
        return Masks(self.height, self.width, self.boxes[kept], crops, self.scores[kept])

    def _crop(self, index: int) -> np.ndarray:
        left, top, right, bottom = self.boxes[index]
        shape = (bottom - top + 1, right - left + 1)
        return np.unpackbits(self.bits[index], count=shape[0] * shape[1]).astype(bool).reshape(shape)
