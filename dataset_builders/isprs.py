"""What Vaihingen and Potsdam share: the label colours, and tiles that belong to a split by their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .labels import ISPRS_PALETTE
from .masks import colour_encoding

ISPRS_ENCODING = colour_encoding(ISPRS_PALETTE)
"""Class ids 0 to 4 and clutter 5, as values or as the publisher's colours."""


@dataclass(frozen=True)
class TileSplit:
    """A rule for `Layout.split_of`: the split whose tiles include the group `tile`."""

    train: tuple[str, ...]
    val: tuple[str, ...]

    def __call__(self, groups: Mapping[str, str]) -> str | None:
        tile = groups["tile"]
        return "train" if tile in self.train else "val" if tile in self.val else None
