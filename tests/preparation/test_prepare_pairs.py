"""Pairs of two dates are cut alike, and the crops are read back."""

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from s5_hf.preparation import prepare


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def publish_levir(raw):
    """A pair of 5 x 4 pixels whose values say where they lie; white in the mask is the lower right quarter."""
    places = np.arange(20, dtype=np.uint8).reshape(4, 5)
    for date, offset in (("A", 0), ("B", 100)):
        write(raw / "val" / date / "val_1.png", np.stack([places + offset] * 3, axis=2))
    mask = np.zeros((4, 5), dtype=np.uint8)
    mask[2:, 3:] = 255
    write(raw / "val/label/val_1.png", mask)
    return places, mask // 255


def test_crops_of_both_dates_and_the_mask_lie_on_each_other(tmp_path):
    places, ids = publish_levir(tmp_path / "raw")
    summary = prepare("s5-levir-cd", tmp_path / "raw", tmp_path / "out", workers=1, patch_size=3)
    assert [(split.split, split.tiles, split.crops) for split in summary.splits] == [("val", 1, 4)]
    samples = list(load_dataset("s5-levir-cd", data_dir=str(tmp_path / "out"), split="val", streaming=True))
    assert [sample["id"] for sample in samples] == [f"val_1_{left}_{top}" for left in (0, 2) for top in (0, 1)]
    for sample in samples:
        left, top = map(int, sample["id"].split("_")[2:])
        part = slice(top, top + 3), slice(left, left + 3)
        before, after = (np.asarray(sample[f"image_{date}"])[..., 0] for date in ("before", "after"))
        np.testing.assert_array_equal(before, places[part])
        np.testing.assert_array_equal(after, places[part] + 100)
        np.testing.assert_array_equal(np.asarray(sample["mask"]), ids[part])
    assert prepare("s5-levir-cd", tmp_path / "raw", tmp_path / "out", workers=1, patch_size=3).skipped == 1


def test_ignored_pixels_of_bandon_stay_ignored(tmp_path):
    ids = np.array([[0, 1, 255]], dtype=np.uint8)
    for date in ("t1", "t2"):
        write(tmp_path / f"raw/train/imgs/bj/{date}/L_1.jpg", np.zeros((1, 3, 3), dtype=np.uint8))
    write(tmp_path / "raw/train/labels_unch0ch1ig255/bj/t1VSt2/L_1.png", ids)
    prepare("s5-bandon", tmp_path / "raw", tmp_path / "out", workers=1)
    (sample,) = load_dataset("s5-bandon", data_dir=str(tmp_path / "out"), split="train", streaming=True)
    assert sample["id"] == "bj_t1VSt2_L_1_0_0"
    np.testing.assert_array_equal(np.asarray(sample["mask"]), ids)


def test_dates_and_masks_of_unlike_sizes_are_named(tmp_path):
    publish_levir(tmp_path / "raw")
    write(tmp_path / "raw/val/B/val_1.png", np.zeros((4, 6, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"A/val_1.png is 5 x 4 px, .*B/val_1.png 6 x 4"):
        prepare("s5-levir-cd", tmp_path / "raw", tmp_path / "out", workers=1)
    write(tmp_path / "raw/val/label/val_1.png", np.zeros((3, 5), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"label/val_1.png is 5 x 3 px, but its image .* is 5 x 4 px"):
        prepare("s5-levir-cd", tmp_path / "raw", tmp_path / "other", workers=1)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        prepare("s5-levir-cd", tmp_path / "missing", tmp_path / "out", workers=1)
