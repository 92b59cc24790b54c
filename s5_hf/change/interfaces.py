"""The three exchangeable parts of a search for changes, and a detector that stands for two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from .masks import Masks

__all__ = ["FeatureExtractor", "MaskProposer", "NamedObjects", "ObjectFinder", "Recognizer"]


class MaskProposer(Protocol):
    """Finds what may be objects, of any kind."""

    def propose(self, image: np.ndarray) -> Masks:
        """The masks of an image, uint8 RGB `(height, width, 3)`."""
        ...


class FeatureExtractor(Protocol):
    """Describes the places of an image by numbers that can be compared between dates."""

    def features(self, image: np.ndarray) -> Tensor:
        """Features float32 `(channels, rows, columns)` of an image, uint8 RGB `(height, width, 3)`.

        The cells of the grid cover the whole image.
        """
        ...


class Recognizer(Protocol):
    """Tells classes apart.

    Attributes:
        labels: names of the classes; the first one is the background.
    """

    labels: Sequence[str]

    def probabilities(self, image: np.ndarray) -> Tensor:
        """Class probabilities float32 `(classes, height, width)`, of any size, of an image uint8 RGB."""
        ...


@dataclass(frozen=True)
class NamedObjects:
    """Objects in an image.

    Attributes:
        masks: of the objects.
        classes: int64 `(masks,)`, at least 1; 0 is the background.
    """

    masks: Masks
    classes: np.ndarray


class ObjectFinder(Protocol):
    """Finds objects of named classes.

    Attributes:
        labels: names of the classes; the first one is the background, which is never found.
    """

    labels: Sequence[str]

    def find(self, image: np.ndarray) -> NamedObjects:
        """The objects in an image, uint8 RGB `(height, width, 3)`."""
        ...
