"""Superpixels as masks: a light stand-in for SAM that needs no weights."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np

from .masks import Masks

__all__ = ["Superpixels"]


@dataclass(frozen=True)
class Superpixels:
    """Segments of even colour, by SLIC (Achanta et al. 2012) of scikit-image; see `MaskProposer`.

    Attributes:
        pixels_per_segment: on average; about the size of what is looked for.
        compactness: how much a regular shape counts against an even colour.
    """

    pixels_per_segment: int = 256
    compactness: float = 10.0

    def __post_init__(self) -> None:
        if self.pixels_per_segment < 1 or self.compactness <= 0:
            raise ValueError(
                "superpixels take a size of at least 1 pixel and a compactness above 0, got "
                f"{self.pixels_per_segment} and {self.compactness}"
            )
        if importlib.util.find_spec("skimage") is None:
            raise ImportError('superpixels need scikit-image. Install with: pip install "s5_hf[change]"')

    def propose(self, image: np.ndarray) -> Masks:
        """The masks of an image; see `MaskProposer`."""
        from skimage.segmentation import slic

        count = max(1, round(image.shape[0] * image.shape[1] / self.pixels_per_segment))
        segments = slic(image, count, self.compactness, start_label=0, channel_axis=-1)
        return segments_as_masks(segments)


def segments_as_masks(segments: np.ndarray) -> Masks:
    """The masks of segments, int `(height, width)`, numbered from 0 on; negative numbers belong to none."""
    from scipy import ndimage

    places = ndimage.find_objects(segments + 1)
    found = [(number, place) for number, place in enumerate(places) if place is not None]
    boxes = [(columns.start, rows.start, columns.stop - 1, rows.stop - 1) for _, (rows, columns) in found]
    crops = tuple(segments[place] == number for number, place in found)
    return Masks(
        *segments.shape, np.array(boxes, dtype=np.int64).reshape(-1, 4), crops, np.ones(len(crops), dtype=np.float32)
    )
