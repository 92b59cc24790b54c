"""What Vaihingen and Potsdam share: how labels are encoded, and tiles that belong to a split by their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .builder import BuilderConfig
from .labels import ISPRS_PALETTE
from .layouts import MMSEGMENTATION_LAYOUT, Layout
from .masks import MaskEncoding
from .segmentation_builder import SegmentationBuilder

CLUTTER = 5
"""Id of clutter, which is also the ignore index."""

_COLOURS = {**{colour: index for index, colour in enumerate(ISPRS_PALETTE)}, (0, 0, 0): CLUTTER}
RELEASE_ENCODING = MaskEncoding(colours=_COLOURS)
"""Stored 0 to 4 and clutter 5, or the publisher's colours. Black, the boundary in `_noBoundary` files, is ignored."""
SHIFTED_ENCODING = MaskEncoding({0: CLUTTER, **{value: value - 1 for value in range(1, 7)}}, _COLOURS)
"""Stored 1 to 5, clutter 6 and boundary 0, as mmsegmentation's conversion scripts write them."""

MASK_VALUES = ("auto", "release", "shifted")


@dataclass
class ISPRSConfig(BuilderConfig):
    """Options beyond those of every builder.

    Attributes:
        mask_values: `"release"` for class ids 0 to 4 and clutter 5, `"shifted"` for 1 to 5, clutter 6 and boundary 0.
            `"auto"` takes `img_dir`/`ann_dir` folders, which mmsegmentation writes, for shifted and all else for
            the release's.
    """

    mask_values: str = "auto"


class ISPRSBuilder(SegmentationBuilder):
    """Chooses how masks are encoded by the layout, or as the user says."""

    BUILDER_CONFIG_CLASS = ISPRSConfig
    BUILDER_CONFIGS = (ISPRSConfig(name="default"),)

    def encoding(self, layout: Layout | None) -> MaskEncoding:
        choice = self.config.mask_values
        if choice not in MASK_VALUES:
            raise ValueError(f"mask_values must be one of {', '.join(MASK_VALUES)}, got {choice!r}")
        if choice == "auto":
            choice = "shifted" if layout is MMSEGMENTATION_LAYOUT else "release"
        return SHIFTED_ENCODING if choice == "shifted" else RELEASE_ENCODING


@dataclass(frozen=True)
class TileSplit:
    """A rule for `Layout.split_of`: the split whose tiles include the group `tile`."""

    train: tuple[str, ...]
    val: tuple[str, ...]

    def __call__(self, groups: Mapping[str, str]) -> str | None:
        tile = groups["tile"]
        return "train" if tile in self.train else "val" if tile in self.val else None
