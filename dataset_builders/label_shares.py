"""Which tiles are for training, and which of those have labels: the protocol of DWL, by a rule and a seed.

60, 20 and 20 percent of the tiles are for training, validation and test; of the former, 1, 5 or 10 percent are
labelled, the larger shares holding the smaller. As published, tiles are drawn at random, so that tiles of one scene
lie on both sides; drawn by scene, they do not.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

PERCENTAGES = (1, 5, 10)
"""Percent of the tiles for training that are labelled."""

SHARE_SPLITS = tuple(f"{kind}_{percent}" for percent in PERCENTAGES for kind in ("labelled", "unlabelled"))
"""Names of the split lists of these shares."""

TRAIN_PERCENT, VAL_PERCENT = 60, 20


@dataclass(frozen=True)
class Tile:
    """A tile that is to be divided.

    Attributes:
        name: of the tile, different for each.
        scene: the image that it is cut from.
        split: the publisher's split of that image.
        domain: a part of the dataset that gets its own share of labels, such as `Rural`; empty for none.
    """

    name: str
    scene: str
    split: str
    domain: str = ""


def divide_tiles(
    tiles: Sequence[Tile], seed: int, by_scene: bool = False, published_splits: bool = False
) -> dict[str, list[str]]:
    """Names of tiles by split: `train`, `val`, `test`, and `labelled_1`, `unlabelled_1` and so on out of `train`.

    The order of `tiles` does not matter.

    Args:
        tiles: all tiles with labels.
        seed: decides everything that is random.
        by_scene: keep the tiles of a scene in one split.
        published_splits: train on the publisher's `train` and halve its `val` into `val` and `test` (LoveDA).

    Raises:
        ValueError: if there are too few tiles or scenes for three splits, or a share would be without labels.
    """
    ordered = sorted(tiles, key=lambda tile: tile.name)
    generator = np.random.default_rng(seed)
    if published_splits:
        train = shuffled([tile for tile in ordered if tile.split == "train"], generator, by_scene=False)
        rest = shuffled([tile for tile in ordered if tile.split == "val"], generator, by_scene)
        parts = [train, *cut(rest, [len(rest) // 2], by_scene)]
    else:
        first = len(ordered) * TRAIN_PERCENT // 100
        second = first + len(ordered) * VAL_PERCENT // 100
        parts = cut(shuffled(ordered, generator, by_scene), [first, second], by_scene)
    splits = dict(zip(("train", "val", "test"), parts, strict=True))
    empty = [name for name, part in splits.items() if not part]
    if empty:
        scenes = len({tile.scene for tile in tiles})
        raise ValueError(f"{len(tiles)} tiles of {scenes} scenes are too few: nothing is left for {', '.join(empty)}")
    if by_scene:  # so far whole scenes follow one another; labels are spread over them
        splits["train"] = shuffled(splits["train"], generator, by_scene=False)
    return {name: [tile.name for tile in part] for name, part in (splits | label_shares(splits["train"])).items()}


def shuffled(tiles: Sequence[Tile], generator: np.random.Generator, by_scene: bool) -> list[Tile]:
    """The tiles in random order, or the scenes in random order with the tiles of each together."""
    if not by_scene:
        return [tiles[index] for index in generator.permutation(len(tiles))]
    scenes = sorted({tile.scene for tile in tiles})
    place = {scenes[index]: position for position, index in enumerate(generator.permutation(len(scenes)))}
    return sorted(tiles, key=lambda tile: place[tile.scene])


def cut(tiles: Sequence[Tile], places: Sequence[int], by_scene: bool) -> list[list[Tile]]:
    """The tiles cut at these places; by scene, at the next border between scenes."""
    borders = [0]
    for place in places:
        place = max(place, borders[-1])
        while by_scene and 0 < place < len(tiles) and tiles[place].scene == tiles[place - 1].scene:
            place += 1
        borders.append(place)
    borders.append(len(tiles))
    return [list(tiles[start:stop]) for start, stop in itertools.pairwise(borders)]


def label_shares(train: Sequence[Tile]) -> Mapping[str, list[Tile]]:
    """The labelled and the other tiles of every share; the first ones of each domain are labelled.

    Raises:
        ValueError: if the smallest share has no tile at all.
    """
    domains = sorted({tile.domain for tile in train})
    by_domain = [[tile for tile in train if tile.domain == domain] for domain in domains]
    shares: dict[str, list[Tile]] = {}
    for percent in PERCENTAGES:
        labelled = [tile for part in by_domain for tile in part[: len(part) * percent // 100]]
        if not labelled:
            raise ValueError(f"{percent} percent of {len(train)} tiles for training is less than one labelled tile")
        chosen = {tile.name for tile in labelled}
        shares[f"labelled_{percent}"] = labelled
        shares[f"unlabelled_{percent}"] = [tile for tile in train if tile.name not in chosen]
    return shares
