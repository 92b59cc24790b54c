"""DOTA images become overlapping patches, each with the boxes that are mostly inside it."""

import numpy as np
import pytest
from PIL import Image

from s5_hf.imaging.windows import Window
from s5_hf.preparation import prepare
from s5_hf.preparation.dota_text import DotaBoxes, format_boxes, read_boxes
from tests.preparation.tiles import random_image

HEAD = "imagesource:GoogleEarth\ngsd:0.115726939386\n"


def write_label(raw, text, split="train", name="P0000", folder="labelTxt-v2.0"):
    path = raw / split / folder / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def lines_of(out, name, split="train"):
    return (out / split / "labelTxt" / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def test_patches_and_boxes(tmp_path):
    pixels = random_image(tmp_path / "raw/train/images/P0000.png", 1900, 1100)
    write_label(
        tmp_path / "raw",
        HEAD
        # In the first column; 0.5 in the patches that start at 824 and 876; whole and at the corner of many.
        + "10 10 30 10 30 20 10 20 ship 1\n"
        + "814 200 834 200 834 210 814 210 plane 0\n"
        + "900.5 500 950 500 950 520 900.5 520 small-vehicle 0\n"
        + "1014 50 1034 50 1034 60 1014 60 harbor 1\n",
    )
    summary = prepare("s5-dota", tmp_path / "raw", tmp_path / "out", workers=1)
    out = tmp_path / "out"
    # Left edges 0, 824, 876; top edges 0, 76.
    expected = sorted(f"P0000__1024__{left}___{top}" for left in (0, 824, 876) for top in (0, 76))
    assert sorted(path.stem for path in (out / "train/images").iterdir()) == expected
    assert sorted(path.stem for path in (out / "train/labelTxt").iterdir()) == expected
    patch = np.asarray(Image.open(out / "train/images/P0000__1024__876___76.png"))
    assert (patch == pixels[76:, 876:]).all()

    assert lines_of(out, "P0000__1024__0___0") == [
        "10 10 30 10 30 20 10 20 ship 1",
        "814 200 834 200 834 210 814 210 plane 0",
        "900.5 500 950 500 950 520 900.5 520 small-vehicle 0",
    ]
    assert lines_of(out, "P0000__1024__824___0") == [
        "76.5 500 126 500 126 520 76.5 520 small-vehicle 0",
        "190 50 210 50 210 60 190 60 harbor 1",
    ]
    assert lines_of(out, "P0000__1024__876___76") == ["24.5 424 74 424 74 444 24.5 444 small-vehicle 0"]
    (train,) = summary.splits
    assert (train.tiles, train.crops, train.objects, train.cut_off) == (1, 6, 3 + 2 + 2 + 2 + 1 + 1, 0)


@pytest.mark.parametrize(("inside", "kept"), [(7, True), (6.9, False)])
def test_a_box_stays_from_seven_tenths_on(tmp_path, inside, kept):
    random_image(tmp_path / "raw/train/images/P0000.png", 1500, 800)
    right = 1024 - inside + 10
    write_label(tmp_path / "raw", f"{right - 10} 10 {right} 10 {right} 20 {right - 10} 20 ship 0\n")
    prepare("s5-dota", tmp_path / "raw", tmp_path / "out", workers=1)
    lines = lines_of(tmp_path / "out", "P0000__1024__0___0")
    assert len(lines) == kept
    # Corners are moved, not cut.
    assert not kept or lines[0] == "1017 10 1027 10 1027 20 1017 20 ship 0"


def test_a_long_box_that_no_patch_keeps_is_counted(tmp_path):
    random_image(tmp_path / "raw/train/images/P0000.png", 2600, 900)
    write_label(tmp_path / "raw", "10 10 2590 10 2590 20 10 20 bridge 0\n")
    summary = prepare("s5-dota", tmp_path / "raw", tmp_path / "out", workers=1)
    assert (summary.splits[0].objects, summary.splits[0].cut_off) == (0, 1)


def test_a_small_image_is_padded(tmp_path):
    pixels = random_image(tmp_path / "raw/val/images/P0003.png", 40, 30)
    write_label(tmp_path / "raw", "", split="val", name="P0003")
    prepare("s5-dota", tmp_path / "raw", tmp_path / "out", workers=1)
    patch = np.asarray(Image.open(tmp_path / "out/val/images/P0003__1024__0___0.png"))
    assert patch.shape == (1024, 1024, 3)
    assert (patch[:30, :40] == pixels).all()
    assert (patch[30:] == (124, 116, 104)).all()
    assert lines_of(tmp_path / "out", "P0003__1024__0___0", "val") == []


def test_empty_patches_can_be_left_out(tmp_path):
    random_image(tmp_path / "raw/train/images/P0000.png", 1500, 800)
    write_label(tmp_path / "raw", "10 10 30 10 30 20 10 20 ship 0\n")
    summary = prepare("s5-dota", tmp_path / "raw", tmp_path / "out", workers=1, drop_empty=("train",))
    assert (summary.splits[0].crops, summary.splits[0].empty) == (1, 1)


def test_the_version_chooses_the_label_and_the_classes(tmp_path):
    raw = tmp_path / "raw"
    random_image(raw / "train/images/P0000.png", 40, 40)
    write_label(raw, "1 1 9 1 9 9 1 9 plane 0\n", folder="labelTxt-v1.0/labelTxt")
    write_label(raw, "1 1 9 1 9 9 1 9 ship 0\n", folder="labelTxt-v1.0/trainset_reclabelTxt")
    write_label(raw, "1 1 9 1 9 9 1 9 container-crane 0\n", folder="labelTxt-v1.5/DOTA-v1.5_train")
    write_label(raw, "1 1 9 1 9 9 1 9 ship 0\n", folder="labelTxt-v1.5/DOTA-v1.5_train_hbb")
    for config, category in (("v1.0", "plane"), ("v1.5", "container-crane")):
        prepare("s5-dota", raw, tmp_path / config, workers=1, config=config)
        assert lines_of(tmp_path / config, "P0000__1024__0___0") == [f"1 1 9 1 9 9 1 9 {category} 0"]
    with pytest.raises(FileNotFoundError, match=r"has no v2\.0 label\. There are labels of v1\.0, v1\.5"):
        prepare("s5-dota", raw, tmp_path / "x", workers=1)
    with pytest.raises(ValueError, match=r"no configuration 'v3'; known: v2\.0, v1\.5, v1\.0"):
        prepare("s5-dota", raw, tmp_path / "x", workers=1, config="v3")


def test_test_images_need_no_labels(tmp_path):
    random_image(tmp_path / "raw/test/images/P0006.png", 40, 40)
    summary = prepare("s5-dota", tmp_path / "raw", tmp_path / "out", workers=1)
    assert [(split.split, split.crops) for split in summary.splits] == [("test", 1)]
    assert not (tmp_path / "out/test/labelTxt").exists()


def test_missing_images_and_labels(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No images of s5-dota below .*train/labelTxt-v2\.0"):
        prepare("s5-dota", tmp_path, tmp_path.with_name("out"))
    random_image(tmp_path / "raw/train/images/P0000.png", 20, 20)
    with pytest.raises(FileNotFoundError, match=r"P0000\.png has no v2\.0 label"):
        prepare("s5-dota", tmp_path / "raw", tmp_path / "out")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 1 9 1 9 9 1 plane 0", ", line 3"),
        ("1 1 9 1 9 9 1 9", ", line 3"),
        ("1 1 9 1 9 9 1 nan plane 0", ", line 3"),
        ("1 1 9 1 9 9 1 9 submarine 0", ": unknown class 'submarine'; known: plane"),
    ],
)
def test_a_broken_line_is_named_with_file_and_number(tmp_path, line, message):
    path = tmp_path / "P0000.txt"
    path.write_text(f"{HEAD}{line}\n", encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        read_boxes(path, ("plane",))
    assert f"{path}{message}" in str(caught.value)


def test_text_comes_back_as_it_was(tmp_path):
    path = tmp_path / "P0000.txt"
    path.write_text(f"\ufeff{HEAD}\n1.25 1 9 1 9 9 -1 9 plane\n2 2 9 2 9 9 2 9 ship 1\n", encoding="utf-8")
    boxes = read_boxes(path, ("plane", "ship"))
    assert boxes.polygons.shape == (2, 4, 2)
    text = format_boxes(boxes, np.array([True, True]), Window(1, 0, 10, 10))
    assert text == "0.25 1 8 1 8 9 -2 9 plane 0\n1 2 8 2 8 9 1 9 ship 1\n"
    assert len(DotaBoxes.none()) == 0


def test_images_of_trainval_keep_their_split(tmp_path):
    random_image(tmp_path / "raw/trainval/images/P0000.png", 200, 100)
    write_label(tmp_path / "raw", "10 10 30 10 30 20 10 20 ship 0\n", "trainval", folder="labelTxt")
    (split,) = prepare("s5-dota", tmp_path / "raw", tmp_path / "out", workers=1).splits
    assert (split.split, split.crops, split.objects) == ("trainval", 1, 1)
    assert lines_of(tmp_path / "out", "P0000__1024__0___0", "trainval") == ["10 10 30 10 30 20 10 20 ship 0"]
