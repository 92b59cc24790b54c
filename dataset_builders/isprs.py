"""What Vaihingen and Potsdam share: how labels are encoded, and tiles that belong to a split by their number."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar

import numpy as np

from .builder import BuilderConfig
from .errors import CorruptImageError, EncodingError
from .images import decode
from .labels import ISPRS_PALETTE
from .masks import ONE_CHANNEL_MODES, MaskEncoding
from .samples import read_image_file
from .segmentation_builder import SegmentationBuilder
from .storage import Storage, join

CLUTTER = 5
"""Id of clutter, which is also the ignore index."""

_COLORS = {**{color: index for index, color in enumerate(ISPRS_PALETTE)}, (0, 0, 0): CLUTTER}
RELEASE_ENCODING = MaskEncoding(colors=_COLORS)
"""Stored 0 to 4 and clutter 5, or the publisher's colours. Black, the boundary in `_noBoundary` files, is ignored."""
SHIFTED_ENCODING = MaskEncoding({0: CLUTTER, **{value: value - 1 for value in range(1, 7)}}, _COLORS)
"""Stored 1 to 5, clutter 6 and boundary 0, as mmsegmentation's conversion scripts write them."""
COLOR_ENCODING = MaskEncoding({}, _COLORS)
"""The publisher's colours and nothing else."""

MASK_VALUES = {"auto": None, "release": RELEASE_ENCODING, "shifted": SHIFTED_ENCODING}

PREPARED = "preparation.jsonl"
"""What `s5-hf prepare` leaves beside crops that have the names of mmsegmentation's and the values of the release."""

_EXAMINED = 32
_SHIFTED_CLUTTER = 6
# Boundaries are thin: a stored 0 that covers more than this is a class, impervious surface, of the release.
_LARGEST_BOUNDARY_SHARE = 0.25


@dataclass
class ISPRSConfig(BuilderConfig):
    """Options beyond those of every builder.

    Attributes:
        mask_values: `"release"` for class ids 0 to 4 and clutter 5, `"shifted"` for 1 to 5, clutter 6 and boundary 0.
            `"auto"` goes by the file names, and by the values seen in some of the masks: crops named as in the
            release hold the former, crops named as by mmsegmentation in `ann_dir` hold the latter. It refuses what
            stays uncertain, and values that contradict the names.
    """

    mask_values: str = "auto"


class ISPRSBuilder(SegmentationBuilder):
    """Chooses how masks are encoded by names and values, or as the user says.

    Attributes:
        RELEASE_NAMES: expression for the names (without extension) of masks in the release.
        CROP_NAMES: the same for crops made by mmsegmentation's script, whose names `s5-hf prepare` shares.
    """

    BUILDER_CONFIG_CLASS = ISPRSConfig
    BUILDER_CONFIGS = (ISPRSConfig(name="default"),)
    RELEASE_NAMES: ClassVar[str]
    CROP_NAMES: ClassVar[str]

    def encoding(self, root: str, files: Sequence[str], masks: Sequence[str]) -> MaskEncoding:
        """How these masks encode class ids.

        Raises:
            ValueError: for an unknown `mask_values`.
            EncodingError: if it is `"auto"`, and names and values of the masks contradict each other or do not tell.
        """
        choice = self.config.mask_values
        if choice not in MASK_VALUES:
            raise ValueError(f"mask_values must be one of {', '.join(MASK_VALUES)}, got {choice!r}")
        if (chosen := MASK_VALUES[choice]) is not None:
            return chosen
        masks = [mask for mask in masks if mask]
        named = self._encoding_by_name(masks, prepared=PREPARED in files)
        return _checked_encoding(named, seen_values(self.storage, root, masks), f"{self.DATASET} at {root}")

    def _encoding_by_name(self, masks: Sequence[str], prepared: bool) -> MaskEncoding | None:
        """The encoding that all names stand for, `None` where they do not tell."""
        release, crop = re.compile(self.RELEASE_NAMES), re.compile(self.CROP_NAMES)
        found: set[str] = set()
        for path in map(PurePosixPath, masks):
            if release.fullmatch(path.stem):
                found.add("release")
            elif crop.fullmatch(path.stem) and "ann_dir" in path.parts:
                found.add("shifted")
            elif crop.fullmatch(path.stem) and prepared:
                found.add("release")
            else:
                return None
        return MASK_VALUES[found.pop()] if len(found) == 1 else None


@dataclass(frozen=True)
class SeenValues:
    """What some of the masks hold.

    Attributes:
        one_channel: the first mask of one channel, empty if there is none.
        with_six: the first mask that holds a 6, empty if there is none.
        zero_share: share of the pixels of one-channel masks that are 0.
    """

    one_channel: str = ""
    with_six: str = ""
    zero_share: float = 0.0


def seen_values(storage: Storage, root: str, masks: Sequence[str]) -> SeenValues:
    """Look at masks spread evenly over all. Colour masks are not decoded; broken ones are left to their reader."""
    one_channel = with_six = ""
    pixels = zeros = 0
    for index in np.unique(np.linspace(0, len(masks) - 1, min(_EXAMINED, len(masks)), dtype=np.int64)):
        location = join(root, masks[index])
        try:
            mask = read_image_file(storage, location)
            if mask.header.mode not in ONE_CHANNEL_MODES:
                continue
            values = np.asarray(decode(mask.content, location))
        except (CorruptImageError, OSError):
            continue
        one_channel = one_channel or location
        pixels, zeros = pixels + values.size, zeros + int((values == 0).sum())
        if not with_six and (values == _SHIFTED_CLUTTER).any():
            with_six = location
    return SeenValues(one_channel, with_six, zeros / max(1, pixels))


def _checked_encoding(named: MaskEncoding | None, seen: SeenValues, place: str) -> MaskEncoding:
    """What names and values agree on.

    Raises:
        EncodingError: if they contradict each other, or do not tell.
    """
    choice = (
        "Say which with mask_values: 'release' (0 to 4, clutter 5) or 'shifted' (1 to 5, clutter 6, boundary 0), to "
        "load_dataset, as --option mask_values=... of a command or as a key of the dataset in a recipe"
    )
    if named is RELEASE_ENCODING and seen.with_six:
        raise EncodingError(
            f"{place}: the masks are named as in the release, which stores 0 to 5, but {seen.with_six} holds a 6. "
            f"{choice}"
        )
    if named is SHIFTED_ENCODING and not seen.with_six and seen.zero_share > _LARGEST_BOUNDARY_SHARE:
        raise EncodingError(
            f"{place}: the masks are named as by mmsegmentation, where 0 is the boundary between objects, but "
            f"{seen.zero_share:.0%} of the pixels looked at are 0 and none is 6. {choice}"
        )
    if named is not None:
        return named
    if seen.with_six:
        return SHIFTED_ENCODING
    if not seen.one_channel:
        return COLOR_ENCODING
    raise EncodingError(
        f"{place}: neither the names nor the values of the masks, such as {seen.one_channel}, tell whether they count "
        f"from 0 or from 1. {choice}"
    )


@dataclass(frozen=True)
class TileSplit:
    """A rule for `Layout.split_of`: the split whose tiles include the group `tile`."""

    train: tuple[str, ...]
    val: tuple[str, ...]

    def __call__(self, groups: Mapping[str, str]) -> str | None:
        tile = groups["tile"]
        return "train" if tile in self.train else "val" if tile in self.val else None
