"""DeepGlobe land cover: satellite images of 2448 px at 0.5 m, six classes and unknown (id 6, ignored)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from .labels import DEEPGLOBE_PALETTE
from .layouts import COMMON_LAYOUTS, Layout
from .masks import MaskEncoding
from .segmentation_builder import SegmentationBuilder

UNKNOWN = 6
"""Id of unknown, which is also the ignore index."""

FOLDERS = {"train": "train", "valid": "val", "val": "val", "test": "test"}

PUBLISHER = Layout(
    description="{train,valid,test}/N_sat.jpg, train/N_mask.png",
    images=r"(?:.*/)?(?P<folder>train|valid|val|test)/(?P<name>\d+)_sat\.jpg",
    labels=r"(?:.*/)?(?P<folder>train|valid|val|test)/(?P<name>\d+)_mask\.png",
    split_of=lambda groups: FOLDERS[groups["folder"]],
    without_labels=("val", "test"),
    identity=lambda groups: groups["name"],
)


@dataclass(frozen=True)
class HalvedColors(MaskEncoding):
    """Colour masks whose channels count as 0 below 128 and as 255 from there on, as the publisher asks for."""

    def class_ids(self, mask: Image.Image, name: str, tolerance: int = 0) -> np.ndarray:
        """Class ids of a mask, as in `MaskEncoding`."""
        if mask.mode in ("RGB", "RGBA"):
            pure = np.where(np.asarray(mask.convert("RGB")) < 128, 0, 255).astype(np.uint8)
            mask = Image.fromarray(pure)
        return super().class_ids(mask, name, tolerance)


class DeepGlobeLandCover(SegmentationBuilder):
    """The publisher's folders; masks are published for train only."""

    DATASET = "s5-deepglobe-landcover"
    RELEASE_FOLDERS = ("labeled/deepglobe", "DeepGlobe", "deepglobe", "land-train")
    LAYOUTS = (PUBLISHER, *COMMON_LAYOUTS)
    ENCODING = HalvedColors(colors={color: index for index, color in enumerate(DEEPGLOBE_PALETTE)})
