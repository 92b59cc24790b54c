"""Colours that readers of maps expect, such as blue for water, chosen by the names of the classes."""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .palettes import IGNORE_COLOR, Color, default_palette, palette_distances

__all__ = ["natural_palette"]

_SMALLEST_DISTANCE = 0.04
"""In Oklab: colours nearer than that are hard to tell apart in a legend."""

_CONCEPTS: tuple[tuple[Color, tuple[str, ...]], ...] = (
    ((140, 140, 140), ("background", "other", "others", "clutter", "unknown", "unclassified", "void")),
    ((42, 129, 200), ("water", "river", "lake", "pond", "sea", "ocean", "stream", "reservoir", "canal", "flood")),
    ((62, 176, 168), ("wetland", "marsh", "swamp", "mangrove", "bog")),
    ((34, 110, 55), ("forest", "wood", "woodland", "tree", "conifer", "deciduous", "arbor", "canopy")),
    ((122, 156, 62), ("shrub", "bush", "scrub", "orchard", "vineyard")),
    ((146, 201, 98), ("grass", "grassland", "meadow", "pasture", "lawn", "low vegetation", "rangeland", "park")),
    ((80, 160, 70), ("vegetation", "greenery")),
    ((232, 200, 84), ("agriculture", "agricultural", "cropland", "crop", "farmland", "farm", "field", "cultivated")),
    ((201, 158, 116), ("barren", "bare", "soil", "ground", "dirt", "bareland", "earth", "land")),
    ((238, 220, 170), ("sand", "beach", "desert", "dune")),
    ((172, 162, 150), ("rock", "rocky", "stone", "gravel", "quarry")),
    ((235, 245, 250), ("snow", "ice", "glacier")),
    ((178, 74, 62), ("building", "roof", "house", "built", "urban", "settlement", "residential")),
    ((120, 72, 110), ("industrial", "industry", "factory", "commercial")),
    ((62, 64, 78), ("road", "street", "highway", "asphalt", "runway")),
    ((190, 190, 198), ("impervious", "pavement", "paved", "parking", "concrete", "sidewalk", "developed")),
    ((98, 62, 96), ("railway", "rail", "railroad", "track")),
    ((226, 58, 130), ("car", "vehicle", "truck", "van")),
    ((245, 245, 245), ("cloud",)),
    ((28, 28, 38), ("shadow",)),
    ((230, 96, 20), ("fire", "burned", "burnt")),
)
_SHADES = (0.0, 0.3, -0.25, 0.5, -0.4)
"""Classes of one concept, such as lake and river, share its hue: plain, lighter (towards white), darker, ..."""


def natural_palette(labels: Sequence[str]) -> list[Color]:
    """A colour for each class: the expected one where its name holds a known word, otherwise one that stands apart.

    Water is blue, forest green, roads are grey, buildings red-brown, and so on. A name of several words takes the
    colour of its first known one, except that a pair of words such as "low vegetation" counts before each of them.
    The other classes get those colours of `default_palette`, in its order, that differ from all others. If no class
    is known, the result is `default_palette(len(labels))`.

    Args:
        labels: the names; compared without case, plurals and separators such as `_`.

    Returns:
        (red, green, blue) tuples with values from 0 to 255, no two alike, and none like `IGNORE_COLOR`.
    """
    concepts = [_concept_of(label) for label in labels]
    chosen: dict[int, Color] = {}
    for index, concept in enumerate(concepts):
        if concept is None:
            continue
        shades = [_shade(_CONCEPTS[concept][0], share) for share in _SHADES]
        free = [color for color in shades if _stands_apart(color, list(chosen.values()))]
        if free:
            chosen[index] = free[0]
    natural = list(chosen.values())
    candidates = iter(default_palette(4 * len(labels) + len(natural)))
    for index in range(len(labels)):
        if index not in chosen:
            chosen[index] = next(color for color in candidates if _stands_apart(color, natural))
    return [chosen[index] for index in range(len(labels))]


def _concept_of(label: str) -> int | None:
    """The number of the concept that a name belongs to; None for an unknown one."""
    words = [_singular(word) for word in re.findall(r"[^\W\d_]+", label.lower())]
    for phrase in (*(f"{one} {two}" for one, two in pairwise(words)), *words):
        for number, (_, names) in enumerate(_CONCEPTS):
            if phrase in names:
                return number
    return None


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")) else word


def _shade(color: Color, share: float) -> Color:
    """A colour moved towards white, or for a negative share towards black."""
    target = 255 if share > 0 else 0
    red, green, blue = (round(value + (target - value) * abs(share)) for value in color)
    return red, green, blue


def _stands_apart(color: Color, others: Sequence[Color]) -> bool:
    table = np.array([IGNORE_COLOR, *others], dtype=np.uint8)
    return bool(palette_distances(np.array([color], dtype=np.uint8), table).min() > _SMALLEST_DISTANCE)
