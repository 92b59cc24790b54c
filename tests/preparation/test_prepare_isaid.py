"""iSAID images become 1024 px tiles and those four 512 px crops each."""

import numpy as np
import pytest
from PIL import Image

from s5_hf.dataset_builders.labels import ISAID_PALETTE
from s5_hf.preparation import prepare
from tests.preparation.tiles import isaid_tile, random_image


def random_ids(width, height):
    return np.random.default_rng(3).integers(0, len(ISAID_PALETTE), (height, width)).astype(np.uint8)


def opened(path):
    return np.asarray(Image.open(path))


def test_four_crops_per_tile_hold_the_pixels_and_ids_of_their_place(tmp_path):
    ids = random_ids(1900, 1024)
    pixels = isaid_tile(tmp_path / "raw", "train", "P0000", ids)
    summary = prepare("s5-isaid", tmp_path / "raw", tmp_path / "out", workers=1)
    folder = tmp_path / "out/labeled/iSAID/train"
    # Tiles start at 0, 824 and 876, which is shifted back to end at 1900.
    names = [f"P0000_{tile:04d}_crop_{crop}.png" for tile in range(3) for crop in range(4)]
    assert sorted(path.name for path in (folder / "images").iterdir()) == names
    assert sorted(path.name for path in (folder / "masks").iterdir()) == names
    assert summary.splits[0].crops == 12
    for tile, left in enumerate((0, 824, 876)):
        for crop, (x, y) in enumerate([(0, 0), (512, 0), (0, 512), (512, 512)]):
            place = np.s_[y : y + 512, left + x : left + x + 512]
            name = f"P0000_{tile:04d}_crop_{crop}.png"
            assert (opened(folder / "images" / name) == pixels[place]).all()
            assert (opened(folder / "masks" / name) == ids[place]).all()


def test_tiles_are_numbered_column_by_column(tmp_path):
    ids = np.ones((1900, 1900), dtype=np.uint8)
    ids[1024:, :500] = 2
    isaid_tile(tmp_path / "raw", "val", "P0003", ids)
    summary = prepare("s5-isaid", tmp_path / "raw", tmp_path / "out", workers=1)
    assert summary.splits[0].crops == 9 * 4
    assert 2 in opened(tmp_path / "out/labeled/iSAID/val/masks/P0003_0001_crop_2.png")
    assert 2 not in opened(tmp_path / "out/labeled/iSAID/val/masks/P0003_0003_crop_2.png")


def test_a_small_image_is_padded_and_ignored_there(tmp_path):
    ids = np.full((300, 700), 4, dtype=np.uint8)
    pixels = isaid_tile(tmp_path / "raw", "val", "P0007", ids)
    prepare("s5-isaid", tmp_path / "raw", tmp_path / "out", workers=1)
    folder = tmp_path / "out/labeled/iSAID/val"
    image, mask = (opened(folder / kind / "P0007_0000_crop_1.png") for kind in ("images", "masks"))
    assert (image[:300, :188] == pixels[:, 512:]).all()
    assert (image[300:] == (124, 116, 104)).all()
    assert (mask[:300, :188] == 4).all()
    assert (mask[300:] == 255).all() and (mask[:, 188:] == 255).all()
    assert (opened(folder / "masks/P0007_0000_crop_2.png") == 255).all()


def test_tiles_without_objects_are_left_out_of_train_only(tmp_path):
    ids = np.zeros((1024, 2000), dtype=np.uint8)
    ids[500, 500] = 9
    isaid_tile(tmp_path / "raw", "train", "P0000", ids)
    isaid_tile(tmp_path / "raw", "val", "P0003", ids)
    summary = prepare("s5-isaid", tmp_path / "raw", tmp_path / "out", workers=1)
    train, val = summary.splits
    assert (train.split, train.crops, train.empty) == ("train", 4, 8)
    assert (val.split, val.crops, val.empty) == ("val", 12, 0)
    every = prepare("s5-isaid", tmp_path / "raw", tmp_path / "all", workers=1, keep_empty=("train", "val"))
    assert [split.crops for split in every.splits] == [12, 12]
    apart = prepare("s5-isaid", tmp_path / "raw", tmp_path / "apart", workers=1, overlap=0, keep_empty=("train",))
    assert [split.crops for split in apart.splits] == [8, 4]


def test_files_outside_train_and_val_are_told(tmp_path):
    isaid_tile(tmp_path / "raw", "val", "P0003", np.ones((20, 20), dtype=np.uint8))
    random_image(tmp_path / "raw/test/images/P0006.png", 20, 20)
    summary = prepare("s5-isaid", tmp_path / "raw", tmp_path / "out", workers=1)
    assert summary.notes == ("files outside train and val, left out: 1",)


def test_missing_labels_and_tiles(tmp_path):
    with pytest.raises(FileNotFoundError, match="P0000_instance_color_RGB"):
        prepare("s5-isaid", tmp_path, tmp_path.with_name("out"))
    random_image(tmp_path / "raw/train/images/P0000.png", 20, 20)
    with pytest.raises(FileNotFoundError, match=r"P0000\.png has no label"):
        prepare("s5-isaid", tmp_path / "raw", tmp_path / "out")


def test_impossible_options(tmp_path):
    with pytest.raises(ValueError, match="overlap in pixels must be a whole number between 0 and 1023, got 1024"):
        prepare("s5-isaid", tmp_path, tmp_path, overlap=1024)
    with pytest.raises(ValueError, match="keep_empty names the split 'valid'; known: train, val"):
        prepare("s5-isaid", tmp_path, tmp_path, keep_empty=("valid",))
