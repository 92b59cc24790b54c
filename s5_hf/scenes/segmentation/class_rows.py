"""Finished rows of a scene: from blended probabilities to the bytes that go into files."""

import math
from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["BYTE_SCALE", "ClassRows", "NO_DATA", "class_rows"]

NO_DATA = 255
"""What stands for pixels without data in every map, so a scene may have at most 255 classes."""

BYTE_SCALE = 254
"""Probabilities 0..1 and relative entropy 0..1 are stored as 0..254."""


@dataclass(frozen=True)
class ClassRows:
    """Rows of the maps. Pixels without data are `NO_DATA` in all of them.

    Attributes:
        classes: uint8 `(rows, width)`, the most probable class.
        probabilities: uint8 `(classes, rows, width)`, probability * 254, or None.
        entropy: uint8 `(rows, width)`, entropy / log(number of classes) * 254, or None.
    """

    classes: np.ndarray
    probabilities: np.ndarray | None = None
    entropy: np.ndarray | None = None

    def part(self, start: int, stop: int) -> "ClassRows":
        """The rows from `start` to `stop`, as views."""
        maps = (self.classes, self.probabilities, self.entropy)
        return ClassRows(*(None if values is None else values[..., start:stop, :] for values in maps))


def class_rows(
    probabilities: torch.Tensor, valid: np.ndarray | None, keep_probabilities: bool, keep_entropy: bool
) -> ClassRows:
    """The maps of a piece of a scene.

    Args:
        probabilities: float32 `(classes, rows, width)`, adding up to 1 over the classes.
        valid: bool `(rows, width)`, or None where every pixel holds data.
        keep_probabilities, keep_entropy: whether to make these maps.
    """
    # max, and not argmax: over the first axis it is several times as fast on a processor.
    classes = probabilities.max(dim=0).indices.to(torch.uint8)
    maps = {"classes": classes}
    if keep_probabilities:
        maps["probabilities"] = _to_bytes(probabilities)
    if keep_entropy:
        entropy = torch.special.entr(probabilities).sum(dim=0) / max(math.log(len(probabilities)), 1e-12)
        maps["entropy"] = _to_bytes(entropy)
    arrays = {name: values.cpu().numpy() for name, values in maps.items()}
    if valid is not None:
        for values in arrays.values():
            values[..., ~valid] = NO_DATA
    return ClassRows(**arrays)


def _to_bytes(values: torch.Tensor) -> torch.Tensor:
    return (values * BYTE_SCALE).round_().clamp_(0, BYTE_SCALE).to(torch.uint8)
