"""The division of tiles into splits and label shares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s5_hf.dataset_builders.label_shares import PERCENTAGES, Tile, divide_tiles


def tiles_of(scenes, per_scene, split="train", domain=""):
    return [
        Tile(f"{domain}{split}{scene}_{number}", f"{domain}{split}{scene}", split, domain)
        for scene in range(scenes)
        for number in range(per_scene)
    ]


@pytest.mark.parametrize(
    ("scenes", "per_scene", "counts", "labelled"),
    [(38, 144, (3283, 1094, 1095), (32, 164, 328)), (803, 25, (12045, 4015, 4015), (120, 602, 1204))],
    ids=["Potsdam", "DeepGlobe"],
)
def test_published_numbers(scenes, per_scene, counts, labelled):
    splits = divide_tiles(tiles_of(scenes, per_scene), seed=0)
    assert tuple(len(splits[name]) for name in ("train", "val", "test")) == counts
    assert tuple(len(splits[f"labelled_{percent}"]) for percent in PERCENTAGES) == labelled


def test_published_numbers_of_loveda():
    tiles = [
        *tiles_of(1366, 4, domain="Rural"),
        *tiles_of(1156, 4, domain="Urban"),
        *tiles_of(1669, 4, split="val", domain="Rural"),
    ]
    splits = divide_tiles(tiles, seed=0, published_splits=True)
    assert [len(splits[name]) for name in ("train", "val", "test")] == [10088, 3338, 3338]
    assert [len(splits[f"labelled_{percent}"]) for percent in PERCENTAGES] == [100, 504, 1008]
    assert sum(name.startswith("Rural") for name in splits["labelled_1"]) == 54


@given(st.integers(5, 30), st.integers(4, 20), st.integers(0, 5), st.booleans())
def test_invariants(scenes, per_scene, seed, by_scene):
    tiles = tiles_of(scenes, per_scene)
    if len(tiles) < 200:
        tiles = tiles_of(scenes, 200 // scenes + 1)
    splits = divide_tiles(tiles, seed, by_scene)
    names = [name for split in ("train", "val", "test") for name in splits[split]]
    assert sorted(names) == sorted(tile.name for tile in tiles), "every tile in one split"
    smaller = set()
    for percent in PERCENTAGES:
        labelled, unlabelled = set(splits[f"labelled_{percent}"]), set(splits[f"unlabelled_{percent}"])
        assert smaller <= labelled and not labelled & unlabelled, "larger shares hold the smaller"
        assert labelled | unlabelled == set(splits["train"])
        assert len(labelled) == len(splits["train"]) * percent // 100
        smaller = labelled
    if by_scene:
        scene_of = {tile.name: tile.scene for tile in tiles}
        where = [{scene_of[name] for name in splits[split]} for split in ("train", "val", "test")]
        assert not (where[0] & where[1] or where[0] & where[2] or where[1] & where[2])
    assert divide_tiles(tiles[::-1], seed, by_scene) == splits, "the order of the files does not matter"
    assert divide_tiles(tiles, seed + 1, by_scene) != splits


def test_too_few_tiles():
    with pytest.raises(ValueError, match="12 tiles of 1 scenes are too few: nothing is left for val, test"):
        divide_tiles(tiles_of(1, 12), 0, by_scene=True)
    with pytest.raises(ValueError, match="1 percent of 60 tiles for training is less than one labelled tile"):
        divide_tiles(tiles_of(10, 10), 0)
