"""Names of classes for open-vocabulary models, as SegEarth-OV and SegEarth-OV-2 published them.

Source: the configuration files of the official code of SegEarth-OV (arXiv 2410.01768, v1) and SegEarth-OV-2 (v2). The
thresholds were tuned per dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VERSIONS = ("v1", "v2")


@dataclass(frozen=True)
class NamedClasses:
    """What an open-vocabulary model looks for in a dataset, and with which settings.

    Attributes:
        classes: one string per class id, its synonyms separated by commas. There may be one more than the dataset has
            labels: what it ignores, ISPRS clutter.
        threshold: where no class is as probable, a pixel becomes `background`.
        background: a class id.
        cls_lambda: share of the whole image in the similarities of its pixels.
        longest_side: pixels to which images are resized.
    """

    classes: tuple[str, ...]
    threshold: float
    background: int = 0
    cls_lambda: float = -0.3
    longest_side: int = 448


_POTSDAM = ("road,parking lot", "building", "low vegetation", "tree", "car", "clutter,background")
_VAIHINGEN = ("impervious surface", "building", "low vegetation", "tree", "car", "clutter")
_BUILDINGS, _ROADS, _WATER = (("background", name) for name in ("building", "road", "water"))

_PUBLISHED: Mapping[str, NamedClasses] = {
    "s5-openearthmap": NamedClasses(
        (
            "background",
            "bareland,barren",
            "grass",
            "pavement",
            "road",
            "tree,forest",
            "water,river",
            "cropland",
            "building,roof,house",
        ),
        0.1,
    ),
    "s5-loveda": NamedClasses(
        ("background", "building,roof,house", "road", "water", "barren", "forest", "agricultural"), 0.3
    ),
    "s5-isaid": NamedClasses(
        (
            "background",
            "ship",
            "store tank",
            "baseball diamond",
            "tennis court",
            "basketball court",
            "ground track field",
            "bridge",
            "large vehicle",
            "small vehicle",
            "helicopter",
            "swimming pool",
            "roundabout",
            "soccer ball field",
            "plane",
            "harbor",
        ),
        0.4,
    ),
    "s5-potsdam": NamedClasses(_POTSDAM, 0.1, background=5),
    "s5-vaihingen": NamedClasses(_VAIHINGEN, 0.1, background=5),
    "s5-uavid": NamedClasses(("background", "building", "road", "car", "tree", "vegetation", "human"), 0.3),
    "s5-udd5": NamedClasses(("vegetation", "building", "road", "vehicle", "background"), 0.4, background=4),
    "s5-vdd": NamedClasses(("background", "facade", "road", "vegetation", "vehicle", "roof", "water"), 0.3),
    "s5-whu-aerial": NamedClasses(_BUILDINGS, 0.6),
    "s5-whu-satellite-2": NamedClasses(_BUILDINGS, 0.7),
    "s5-inria": NamedClasses(_BUILDINGS, 0.6),
    "s5-xbd-pre": NamedClasses(_BUILDINGS, 0.0, cls_lambda=0.0),
    "s5-chn6-cug": NamedClasses(_ROADS, 0.8),
    "s5-deepglobe-roads": NamedClasses(_ROADS, 0.7),
    "s5-massachusetts-roads": NamedClasses(_ROADS, 0.7),
    "s5-spacenet-roads": NamedClasses(_ROADS, 0.7),
    "s5-wbs-si": NamedClasses(_WATER, 0.6),
}
_REVISED: Mapping[str, NamedClasses] = {
    "s5-potsdam": NamedClasses(("road", "building", "grass", "tree", "car", "clutter,background"), 0.1, background=5),
    "s5-vaihingen": NamedClasses(("road", "building", "grass", "tree", "car", "clutter"), 0.1, background=5),
}


def named_classes(dataset: str) -> dict[str, NamedClasses]:
    """The published names of a dataset by version, `v1` and `v2`; empty where there are none."""
    if dataset not in _PUBLISHED:
        return {}
    first = _PUBLISHED[dataset]
    return {"v1": first, "v2": _REVISED.get(dataset, first)}
