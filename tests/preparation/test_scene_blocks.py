"""Blocks of scenes and their parts: for any size of scene, tile and gap, parts stay apart and nothing is forgotten."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.preparation.scenes.blocks import block_windows, tile_windows
from s5_hf.preparation.scenes.settings import PARTS, LabelSettings, SplitSettings, TileSettings
from s5_hf.preparation.scenes.split import assign_parts

TILES = st.builds(TileSettings, size=st.integers(16, 80), overlap=st.floats(0, 0.9))
SIDES = st.integers(10, 400)


def distance(one, two):
    """Pixels between two windows along the axis in which they are farther apart; negative where they overlap."""
    across = max(one.left, two.left) - min(one.right, two.right)
    down = max(one.top, two.top) - min(one.bottom, two.bottom)
    return max(across, down)


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, TILES, st.integers(1, 4), st.integers(1, 40))
def test_tiles_of_different_blocks_keep_the_gap_and_every_block_is_covered(width, height, tiles, block_tiles, gap):
    blocks = block_windows(width, height, tiles, block_tiles, gap)
    windows = [tile_windows(block, tiles) for block in blocks]
    for index, one in enumerate(windows):
        for two in windows[index + 1 :]:
            assert min(distance(a, b) for a in (one[0], one[-1]) for b in (two[0], two[-1])) >= gap
    for block, found in zip(blocks, windows, strict=True):
        covered = np.zeros((block.height, block.width), dtype=bool)
        for window in found:
            assert (window.width, window.height) == (tiles.size, tiles.size)
            assert window.right <= block.right or block.width < tiles.size
            assert window.bottom <= block.bottom or block.height < tiles.size
            covered[max(0, window.top - block.top) : window.bottom - block.top][
                :, max(0, window.left - block.left) : window.right - block.left
            ] = True
        assert covered.all()
    area = sum(block.width * block.height for block in blocks)
    columns, rows = len({block.left for block in blocks}), len({block.top for block in blocks})
    assert area == (width - gap * (columns - 1)) * (height - gap * (rows - 1))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3), min_size=6, max_size=40),
    st.floats(0.05, 0.4),
    st.floats(0.05, 0.4),
    st.integers(0, 9),
)
def test_every_part_gets_labels_and_one_ground_stays_in_one_part(rows, val, test, seed):
    counts = np.array(rows)
    counts[:3, 0] += 1  # at least as many groups with labels as parts
    groups = [index if index < 6 else index % 6 for index in range(len(counts))]
    shares = {"train": 1 - val - test, "val": val, "test": test}
    parts = assign_parts(counts, groups, [None] * len(groups), shares, seed)
    assert parts == assign_parts(counts, groups, [None] * len(groups), shares, seed)
    for part in PARTS:
        assert sum(counts[i].sum() for i in range(len(parts)) if parts[i] == part) > 0
    assert len({(group, part) for group, part in zip(groups, parts, strict=True)}) == len(set(groups))


def test_classes_are_shared_out_as_asked():
    random = np.random.default_rng(0)
    counts = random.integers(0, 100, (60, 4)) * (random.random((60, 4)) < 0.4)
    parts = np.array(assign_parts(counts, list(range(60)), [None] * 60, SplitSettings().shares(), 1))
    for part, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        reached = counts[parts == part].sum(axis=0) / counts.sum(axis=0)
        assert np.abs(reached - share).max() < 0.06


def test_named_units_keep_their_part_and_too_few_are_refused():
    counts = np.ones((4, 1))
    shares = {"train": 0.5, "val": 0.5, "test": 0.0}
    parts = assign_parts(counts, [0, 1, 2, 3], ["test", None, None, None], shares, 0)
    assert parts[0] == "test" and set(parts[1:]) == {"train", "val"}
    with pytest.raises(ValueError, match="there are 1 blocks or scenes with labels to share out among train, val"):
        assign_parts(counts, [0, 1, 2, 2], ["test", "test", None, None], shares, 0)


def test_settings_out_of_range_are_refused():
    for kind, options, message in (
        (TileSettings, {"size": 8}, "at least 16 pixels, got 8"),
        (TileSettings, {"overlap": 0.95}, "from 0 to 0.9, got 0.95"),
        (TileSettings, {"bands": [0]}, r"counted from 1, got \[0\]"),
        (SplitSettings, {"by": "tiles"}, "by blocks or by scenes, got 'tiles'"),
        (SplitSettings, {"val_share": 0.6, "test_share": 0.4}, "leave a rest for training"),
        (SplitSettings, {"gap": 0}, "gap must be at least 1, got 0"),
        (LabelSettings, {"classes": ["a", "a"]}, "different names"),
        (LabelSettings, {"classes": ["a"], "unlabelled": "b"}, "unlabelled: there is no class 'b'"),
        (LabelSettings, {"classes": ["a"], "priority": ["b"]}, "priority: there is no class 'b'"),
    ):
        with pytest.raises(ValueError, match=message):
            kind(**options)
    assert LabelSettings({"road": "street", "water": 5, "park": ["p", 6]}).values() == {
        "street": 0, "5": 1, "p": 2, "6": 2,
    }  # fmt: skip
    with pytest.raises(ValueError, match="the value '1' means both a and b"):
        LabelSettings({"a": [1], "b": ["1"]}).values()
