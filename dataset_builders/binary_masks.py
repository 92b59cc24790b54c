"""Masks of one class and background, as black and white pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .errors import SampleError
from .layouts import IMAGE, Layout
from .masks import MaskEncoding

_GREY_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")


@dataclass(frozen=True)
class BinaryEncoding(MaskEncoding):
    """Class 1 from a grey value on, else background. A mask whose largest value is 1 already holds class ids.

    Attributes:
        least: smallest value of class 1.
        otherwise: what to do with masks that hold class ids, and 255 to be ignored; for a message.
    """

    least: int = 128
    otherwise: str = "load the folder as s5-image-mask"

    def keeps(self, mode: str) -> bool:
        """Never: values have to be looked at."""
        return False

    def class_ids(self, mask: Image.Image, name: str, tolerance: int = 0) -> np.ndarray:
        """Class ids of a mask, as in `MaskEncoding`.

        Raises:
            SampleError: for a mask of another mode, or with the values 1 and 255 and no others but 0: it may hold
                class ids, with 255 to be ignored.
        """
        if mask.mode not in _GREY_MODES:
            raise SampleError(f"{name}: a mask of Pillow mode {mask.mode!r}, expected a black and white picture")
        values = np.asarray(mask.convert("L"))
        if self.least > 1 and set(np.unique(values).tolist()) - {0} == {1, 255}:
            raise SampleError(
                f"{name}: a mask with the values 1 and 255, expected black and white; if 1 is the class and 255 is to "
                f"be ignored, {self.otherwise}"
            )
        least = 1 if values.max(initial=0) == 1 else self.least
        return (values >= least).astype(np.uint8)


def always_test(groups: Mapping[str, str]) -> str:
    """The split of files that are all there for a test."""
    return "test"


ROAD_TEST = Layout(
    description="img/NAME.jpg or NAME_sat.jpg, gt/NAME.png or NAME_mask.png, all in test",
    images=rf"img/(?P<name>[^/]+?)(?:_sat)?{IMAGE}",
    labels=rf"gt/(?P<name>[^/]+?)(?:_mask)?{IMAGE}",
    split_of=always_test,
)
"""A part of the global-scale validation set of roads of GlobalRoadSet."""


def short_split(groups: Mapping[str, str]) -> str:
    """The split by its folder, where `valid` is `val`."""
    name = groups["split"].lower()
    return "val" if name == "valid" else name


def pairs(images: str, labels: str) -> Layout:
    """Images and masks of the same name in two folders of each split, `images` and `labels`, anywhere in the data."""
    split = r"(?P<place>(?:.*/)?)(?P<split>train|valid|val|test)"
    return Layout(
        description=f"{{train,val,test}}/{images}/NAME, {{train,val,test}}/{labels}/NAME",
        images=rf"{split}/{images}/(?P<name>[^/]+?){IMAGE}",
        labels=rf"{split}/{labels}/(?P<name>[^/]+?){IMAGE}",
        split_of=short_split,
        identity=lambda groups: f"{groups['place']}{groups['name']}",
    )
