"""Archives without labels become patches that keep the archive's folders."""

import numpy as np
import pytest
from PIL import Image

from s5_hf.preparation import prepare
from tests.preparation.tiles import random_image


def size_of(path):
    with Image.open(path) as image:
        return image.size


def test_patches_keep_folders_and_small_images_their_size(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    Image.new("RGB", (1100, 600), (0, 128, 0)).save(raw.mkdir() or raw / "large.tif")
    random_image(raw / "train/residential/a.png", 100, 90)
    random_image(raw / "masks/large.png", 50, 50)
    summary = prepare("s5-million-aid", raw, out, workers=1)
    patches = {path.relative_to(out).as_posix(): size_of(path) for path in out.rglob("*.jpg")}
    assert patches == {
        **{f"large_{left}_{top}.jpg": (512, 512) for left in (0, 512, 588) for top in (0, 88)},
        "train/residential/a_0_0.jpg": (100, 90),
    }
    assert (summary.splits[0].tiles, summary.splits[0].crops) == (2, 7)
    assert summary.notes == ("images in folders of labels, left out: 1",)
    assert np.abs(np.asarray(Image.open(out / "large_588_88.jpg")).astype(int) - (0, 128, 0)).max() <= 2


def test_the_patch_size_can_be_chosen(tmp_path):
    random_image(tmp_path / "raw/a.png", 100, 90)
    summary = prepare("s5-star", tmp_path / "raw", tmp_path / "out", workers=1, patch_size=60)
    assert summary.splits[0].crops == 4


def test_two_images_of_one_name_are_refused(tmp_path):
    random_image(tmp_path / "a.png", 10, 10)
    random_image(tmp_path / "a.tif", 10, 10)
    with pytest.raises(ValueError, match=r"a\.tif: another image of this folder has the same name"):
        prepare("s5-samrs", tmp_path, tmp_path.with_name("out"))


def test_no_images(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No images of s5-samrs below .*\*\.png"):
        prepare("s5-samrs", tmp_path, tmp_path.with_name("out"))
