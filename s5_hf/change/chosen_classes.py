"""A segmenter of many classes that is asked for a few of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .interfaces import Recognizer

__all__ = ["ChosenClasses"]


class ChosenClasses:
    """Some classes of a recognizer; all its others together are the background. See `Recognizer`.

    Args:
        recognizer: of all classes; none of them needs to be a background.
        classes: names of those wanted.

    Raises:
        ValueError: there are none, one comes twice, or the recognizer does not know one; names the known.
    """

    def __init__(self, recognizer: Recognizer, classes: Sequence[str]) -> None:
        unknown = [name for name in classes if name not in recognizer.labels]
        if unknown:
            raise ValueError(f"the model has no class {unknown[0]!r}; its classes: {', '.join(recognizer.labels)}")
        if not classes or len(set(classes)) < len(classes):
            raise ValueError(f"name each class once, and at least one; got {', '.join(classes) or 'none'}")
        self._recognizer = recognizer
        self._indices = [list(recognizer.labels).index(name) for name in classes]
        self._others = [index for index in range(len(recognizer.labels)) if index not in self._indices]
        self.labels: Sequence[str] = ["background", *classes]

    def probabilities(self, image: np.ndarray) -> Tensor:
        """Class probabilities; see `Recognizer`."""
        of_all = self._recognizer.probabilities(image)
        return torch.cat([of_all[self._others].sum(dim=0, keepdim=True), of_all[self._indices]])
