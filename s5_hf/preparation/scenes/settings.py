"""What a user decides about tiles of scenes: the classes of the labels, the tiles, and which part gets them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["IGNORE_INDEX", "PARTS", "LabelSettings", "LabelsElsewhereError", "SplitSettings", "TileSettings"]

IGNORE_INDEX = 255
"""Value of pixels without a class in the masks."""

PARTS = ("train", "val", "test")
"""The parts of a dataset, and the names of their folders."""

IGNORE = "ignore"
_BLOCK_WAYS = ("blocks", "scenes")


class LabelsElsewhereError(ValueError):
    """Labels have no ground in common with scenes."""


@dataclass(frozen=True)
class LabelSettings:
    """How labels become classes.

    Attributes:
        classes: names of the classes in the order of their ids, or a mapping from each name to the value or values of
            the attribute (polygons) or of the pixels (rasters) that mean it. A name alone means the value of that
            name; in a raster it means the id.
        attribute: field of the polygons that holds the class. None where every polygon means the same class, the
            only one besides `unlabelled`, and for rasters.
        layer: of a file with several layers.
        unlabelled: what lies in no polygon: "ignore" (nothing is known there) or the name of a class.
        priority: classes from the one that lies on top downwards, where polygons overlap. Classes that are not named
            lie below. Among equals the later polygon of the file covers the earlier one.
        all_touched: whether a pixel belongs to a polygon that touches it; by default its centre must lie inside.
        ignore_unknown: whether polygons or pixels with a value of no class are ignored, and not refused.
    """

    classes: Sequence[str] | Mapping[str, str | int | Sequence[str | int]]
    attribute: str | None = None
    layer: str | None = None
    unlabelled: str = IGNORE
    priority: Sequence[str] = ()
    all_touched: bool = False
    ignore_unknown: bool = False

    def __post_init__(self) -> None:
        names = self.names
        if not names or len(set(names)) < len(names):
            raise ValueError(f"classes must be different names, at least one, got: {', '.join(names) or 'none'}")
        if len(names) > IGNORE_INDEX:
            raise ValueError(f"a mask holds at most {IGNORE_INDEX} classes, got {len(names)}")
        for option, given in (("unlabelled", [self.unlabelled]), ("priority", self.priority)):
            known = [*names, IGNORE] if option == "unlabelled" else names
            if unknown := [name for name in given if name not in known]:
                raise ValueError(f"{option}: there is no class {unknown[0]!r}; expected one of: {', '.join(known)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The classes in the order of their ids."""
        return tuple(self.classes)

    @property
    def unlabelled_id(self) -> int:
        """The id of pixels in no polygon."""
        return IGNORE_INDEX if self.unlabelled == IGNORE else self.names.index(self.unlabelled)

    def values(self) -> dict[str, int]:
        """The class id of each value of the attribute, as text.

        Raises:
            ValueError: one value means two classes.
        """
        found: dict[str, int] = {}
        for class_id, name in enumerate(self.names):
            meant = self.classes[name] if isinstance(self.classes, Mapping) else name
            for value in [meant] if isinstance(meant, str | int) else meant:
                if found.setdefault(str(value), class_id) != class_id:
                    raise ValueError(f"the value {value!r} means both {self.names[found[str(value)]]} and {name}")
        return found

    def draw_order(self) -> list[int]:
        """For each class id, its place in the order of drawing: what is drawn later lies on top."""
        ranks = {name: len(self.priority) - position for position, name in enumerate(self.priority)}
        return [ranks.get(name, 0) for name in self.names]


@dataclass(frozen=True)
class TileSettings:
    """How scenes are cut.

    Attributes:
        size: side of a tile in pixels.
        overlap: share of its side that a tile has in common with the next, from 0 up to 0.9.
        bands: which bands, counted from 1, the tiles hold; by default all but one that marks transparency.
        nodata: pixels with this value in all bands hold no data; by default what each file says. NaN for none.
        keep_unlabelled: whether tiles without any labelled pixel are kept. Tiles without any data never are.
    """

    size: int = 512
    overlap: float = 0.0
    bands: Sequence[int] | None = None
    nodata: float | None = None
    keep_unlabelled: bool = False

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ValueError(f"the side of a tile must be at least 16 pixels, got {self.size}")
        if not 0 <= self.overlap <= 0.9:
            raise ValueError(f"the overlap is a share of the tile from 0 to 0.9, got {self.overlap:g}")
        if self.bands is not None and (not self.bands or min(self.bands) < 1):
            raise ValueError(f"bands are counted from 1, got {list(self.bands)}")

    @property
    def stride(self) -> int:
        """Pixels from one tile to the next."""
        return max(1, round(self.size * (1 - self.overlap)))


@dataclass(frozen=True)
class SplitSettings:
    """Which tiles are for training, validation and test.

    Attributes:
        by: "blocks" cuts scenes into square blocks and gives whole blocks to a part; "scenes" gives whole scenes.
        val_share, test_share: of the labelled ground, about. 0 for no such part.
        block_tiles: side of a block in tiles; by default as many as leave enough blocks to choose from.
        gap: pixels between tiles of different parts, at least; by default an eighth of a tile.
        val_scenes, test_scenes: patterns, such as "north_*", of names of scenes without suffix that belong to that
            part as a whole. The share of that part then counts no more.
        seed: of the choice.
    """

    by: str = "blocks"
    val_share: float = 0.15
    test_share: float = 0.15
    block_tiles: int | None = None
    gap: int | None = None
    val_scenes: Sequence[str] = ()
    test_scenes: Sequence[str] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in _BLOCK_WAYS:
            raise ValueError(f"a split is by {' or by '.join(_BLOCK_WAYS)}, got {self.by!r}")
        shares = (self.val_share, self.test_share)
        if not all(0 <= share < 1 and math.isfinite(share) for share in shares) or sum(shares) >= 1:
            raise ValueError(f"val_share and test_share lie from 0 to 1 and leave a rest for training, got {shares}")
        for name in ("block_tiles", "gap"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    def shares(self) -> dict[str, float]:
        """The share of each part among what no pattern assigns."""
        val = 0.0 if self.val_scenes else self.val_share
        test = 0.0 if self.test_scenes else self.test_share
        return {"train": 1 - val - test, "val": val, "test": test}

    def gap_pixels(self, size: int) -> int:
        """The gap between parts for tiles of this side."""
        return max(1, size // 8) if self.gap is None else self.gap


def as_json(settings: LabelSettings | TileSettings | SplitSettings) -> dict[str, Any]:
    """Settings as plain values of JSON."""
    return json.loads(json.dumps(asdict(settings), default=list))


def file_identity(path: Path) -> list[Any]:
    """Name, size and time of change of a file: what tells that it was replaced."""
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]
