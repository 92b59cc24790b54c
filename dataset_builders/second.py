"""SECOND: six classes of land at two dates, where one of them changed; pairs of 512 px at 0.5 to 3 m.

Layout: the publisher's page (https://captain-whu.github.io/SCD/); with splits as Bi-SRNet and Open-CD describe it.
Colours and the order of the classes are those of Open-CD.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from datasets import Features
from PIL import Image

from .features import pair_features
from .labels import SECOND_PALETTE
from .layouts import IMAGE, always_train
from .masks import MaskEncoding
from .pair_builder import PairBuilder
from .pair_layouts import PAIR_SPLIT, PairLayout
from .pair_samples import ClassesReader

_NAME = rf"(?P<name>[^/]+?){IMAGE}"
WITH_SPLITS = PairLayout(
    description="{train,val,test}/{im1,im2,label1,label2}/NAME.png",
    before=rf"{PAIR_SPLIT}/im1/{_NAME}",
    after=rf"{PAIR_SPLIT}/im2/{_NAME}",
    masks=(rf"{PAIR_SPLIT}/label1/{_NAME}", rf"{PAIR_SPLIT}/label2/{_NAME}"),
)
WITHOUT_SPLITS = PairLayout(
    description="{im1,im2,label1,label2}/NAME.png, all in train",
    before=rf"im1/{_NAME}",
    after=rf"im2/{_NAME}",
    masks=(rf"label1/{_NAME}", rf"label2/{_NAME}"),
    split_of=always_train,
)


@dataclass(frozen=True)
class SecondEncoding(MaskEncoding):
    """Class ids 0 to 6 in one channel, or colours, also those of a palette."""

    def class_ids(self, mask: Image.Image, name: str, tolerance: int = 0) -> np.ndarray:
        # What the numbers of a palette stand for is known by its colours only.
        return super().class_ids(mask.convert("RGB") if mask.mode == "P" else mask, name, tolerance)


class SECOND(PairBuilder):
    """Columns `mask_before` and `mask_after` hold classes, and `mask` where they are not "unchanged"."""

    DATASET = "s5-second"
    RELEASE_FOLDERS = ("SECOND", "SECOND_train_set")
    LAYOUTS = (WITH_SPLITS, WITHOUT_SPLITS)
    ENCODING = SecondEncoding(
        value_map={**{index: index for index in range(len(SECOND_PALETTE))}, 255: 255},
        colors={color: index for index, color in enumerate(SECOND_PALETTE)},
    )

    def columns(self) -> Features:
        return pair_features(masks=("mask", "mask_before", "mask_after"))

    def reader(self, root: str) -> ClassesReader:
        return ClassesReader(self.storage, root, self.ENCODING)
