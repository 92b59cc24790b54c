"""Each publisher's layout and the release's, made small, read through load_dataset."""

import logging

import numpy as np
import pytest
from datasets import load_dataset

from s5_hf.dataset_builders.errors import CorruptImageError, LayoutError, SampleError
from s5_hf.dataset_builders.labels import ISAID_PALETTE, ISPRS_PALETTE

IDS = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.uint8)
SIZE = (3, 2)


def load(name, folder, split="train", **options):
    return list(load_dataset(name, data_dir=str(folder), split=split, streaming=True, **options))


def mask_of(sample):
    return np.asarray(sample["mask"])


@pytest.fixture
def write_pair(write_image_and_mask):
    return lambda image, mask, ids=IDS: write_image_and_mask(image, mask, ids)


@pytest.mark.parametrize("name", ["s5-isaid", "s5-vaihingen", "s5-potsdam", "s5-openearthmap", "s5-image-mask"])
@pytest.mark.parametrize(
    "layout",
    [
        "{split}/images/a.png {split}/masks/a.png",
        "images/{split}/a.jpg masks/{split}/a.png",
        "img_dir/{split}/a.png ann_dir/{split}/a.png",
    ],
)
@pytest.mark.parametrize("split", ["train", "val"])
def test_common_layouts_pass_masks_on(name, layout, split, write_pair, tmp_path):
    image, mask = layout.format(split=split).split()
    write_pair(image, mask)
    isprs = {"mask_values": "release"} if name in ("s5-vaihingen", "s5-potsdam") else {}
    (sample,) = load(name, tmp_path, split, **isprs)
    assert sample["id"] == "a"
    assert sample["image"].size == SIZE
    assert (mask_of(sample) == IDS).all()


def test_isaid_publisher_colours(write_pair, tmp_path):
    ids = np.arange(16).reshape(4, 4)
    colours = np.array(ISAID_PALETTE, dtype=np.uint8)[ids]
    write_pair("train/images/P0001.png", "train/Semantic_masks/images/P0001_instance_color_RGB.png", colours)
    (sample,) = load("s5-isaid", tmp_path)
    assert sample["id"] == "P0001" and sample["mask"].mode == "L"
    assert (mask_of(sample) == ids).all()


def test_isaid_below_the_release_folder(write_pair, tmp_path):
    write_pair("labeled/iSAID/val/images/P0_crop_0.png", "labeled/iSAID/val/masks/P0_crop_0.png")
    write_pair("labeled/potsdam/val/images/other.png", "labeled/potsdam/val/masks/other.png")
    assert [sample["id"] for sample in load("s5-isaid", tmp_path, "val")] == ["P0_crop_0"]


@pytest.mark.parametrize(
    ("name", "train", "val", "neither"),
    [
        (
            "s5-potsdam",
            ("2_Ortho_RGB/top_potsdam_7_12_RGB.tif", "5_Labels_all/top_potsdam_7_12_label.tif", "7_12"),
            ("2_Ortho_RGB/top_potsdam_7_13_RGB.tif", "5_Labels_all/top_potsdam_7_13_label.tif", "7_13"),
            ("2_Ortho_RGB/top_potsdam_9_99_RGB.tif", "5_Labels_all/top_potsdam_9_99_label.tif", "9_99"),
        ),
        (
            "s5-vaihingen",
            ("top/top_mosaic_09cm_area37.tif", "gts_for_participants/top_mosaic_09cm_area37.tif", "37"),
            ("top/top_mosaic_09cm_area38.tif", "gts_for_participants/top_mosaic_09cm_area38.tif", "38"),
            ("top/top_mosaic_09cm_area99.tif", "gts_for_participants/top_mosaic_09cm_area99.tif", "99"),
        ),
    ],
)
def test_isprs_tiles_are_split_by_number_and_decoded(name, train, val, neither, write_pair, tmp_path):
    colours = np.array(ISPRS_PALETTE, dtype=np.uint8)[IDS]
    for image, mask, _ in (train, val, neither):
        write_pair(image, mask, colours)
    for split, tile in (("train", train[2]), ("val", val[2])):
        (sample,) = load(name, tmp_path, split)
        assert sample["id"] == tile
        assert (mask_of(sample) == IDS).all()


@pytest.mark.parametrize("name", ["s5-vaihingen", "s5-potsdam"])
def test_isprs_masks_of_mmsegmentation_count_from_one(name, write_pair, tmp_path):
    stored = np.arange(7, dtype=np.uint8)[None]
    write_pair("img_dir/train/a.png", "ann_dir/train/a.png", stored)
    assert mask_of(load(name, tmp_path)[0]).tolist() == [[5, 0, 1, 2, 3, 4, 5]]
    assert mask_of(load(name, tmp_path, mask_values="release")[0]).tolist() == stored.tolist()
    with pytest.raises(ValueError, match="mask_values must be one of auto, release, shifted, got 'other'"):
        load(name, tmp_path, mask_values="other")


def test_isprs_boundaries_are_ignored(write_pair, tmp_path):
    colours = np.array([[(0, 0, 0), ISPRS_PALETTE[4]]], dtype=np.uint8)
    image, label = "2_Ortho_RGB/top_potsdam_6_7_RGB.tif", "5_Labels_all/top_potsdam_6_7_label_noBoundary.tif"
    write_pair(image, label, colours)
    assert mask_of(load("s5-potsdam", tmp_path)[0]).tolist() == [[5, 4]]


@pytest.mark.parametrize("prefix", ["", "LoveDA/", "Train/"])
def test_loveda_domains_and_shifted_values(prefix, write_pair, tmp_path):
    stored = np.array([[0, 1], [4, 7]], dtype=np.uint8)
    for domain in ("Rural", "Urban"):
        write_pair(f"{prefix}Train/{domain}/images_png/7.png", f"{prefix}Train/{domain}/masks_png/7.png", stored)
    samples = load("s5-loveda", tmp_path)
    assert [sample["id"] for sample in samples] == ["Rural/7", "Urban/7"]
    assert mask_of(samples[0]).tolist() == [[255, 0], [3, 6]]


def test_loveda_test_split_has_no_masks(write_image, tmp_path):
    write_image(tmp_path / "Test/Rural/images_png/1.png")
    (sample,) = load("s5-loveda", tmp_path, "test")
    assert sample["mask"] is None


def test_openearthmap_lists(write_pair, write_image, tmp_path, caplog):
    ids = np.array([[0, 8]], dtype=np.uint8)
    for tile in ("aachen_1", "new_york_2"):
        city = tile.rpartition("_")[0]
        write_pair(f"{city}/images/{tile}.tif", f"{city}/labels/{tile}.tif", ids)
    (tmp_path / "train.txt").write_text("aachen_1.tif\nxbd_3.tif\n", encoding="utf-8")
    (tmp_path / "val.txt").write_text("new_york_2.tif\n", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        (sample,) = load("s5-openearthmap", tmp_path)
    assert sample["id"] == "aachen_1" and mask_of(sample).tolist() == [[0, 8]]
    assert "1 images that train.txt names are not there" in caplog.text
    assert load("s5-openearthmap", tmp_path, "val")[0]["id"] == "new_york_2"
    write_image(tmp_path / "xbd/images/xbd_3.tif")
    with pytest.raises(LayoutError, match=r"xbd_3.tif has no label file xbd/labels/xbd_3.tif"):
        load("s5-openearthmap", tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "aachen/images/aachen_1.tif aachen/labels/aachen_1.tif",
        "aachen_1.tif,aachen_1.tif",
        "release/aachen/images/aachen_1.tif\trelease/aachen/labels/aachen_1.tif",
    ],
)
def test_openearthmap_lists_with_image_and_label(line, write_pair, tmp_path, caplog):
    write_pair("aachen/images/aachen_1.tif", "aachen/labels/aachen_1.tif")
    (tmp_path / "train.txt").write_text(f"{line}\nxbd/images/xbd_3.tif xbd/labels/xbd_3.tif\n", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        (sample,) = load("s5-openearthmap", tmp_path)
    assert sample["id"] == "aachen_1" and (mask_of(sample) == IDS).all()
    assert "1 images that train.txt names are not there" in caplog.text


def test_openearthmap_lists_that_pair_two_tiles_are_refused(write_pair, tmp_path):
    for tile in ("aachen_1", "aachen_2"):
        write_pair(f"aachen/images/{tile}.tif", f"aachen/labels/{tile}.tif")
    (tmp_path / "train.txt").write_text("aachen_1.tif aachen_2.tif\n", encoding="utf-8")
    with pytest.raises(LayoutError, match=r"train.txt, line 1: expected image and label of one tile, got 'aachen_1"):
        load("s5-openearthmap", tmp_path)


def test_split_lists_of_the_release(write_pair, tmp_path):
    write_pair("images/a b.png", "masks/a b.png")
    write_pair("images/c.png", "masks/c.png")
    (tmp_path / "train.txt").write_text(
        "images/c.png masks/c.png\n\nimages/a b.png\tmasks/a b.png\n", encoding="utf-8"
    )
    assert [sample["id"] for sample in load("s5-isaid", tmp_path)] == ["images/c", "images/a b"]


@pytest.mark.parametrize("line", ["images/c.png", "images/c.png masks/c.png more", "images/c.png, "])
def test_broken_split_list_names_file_and_line(line, write_pair, tmp_path):
    write_pair("images/c.png", "masks/c.png")
    (tmp_path / "train.txt").write_text(f"images/c.png masks/c.png\n{line}\n", encoding="utf-8")
    with pytest.raises(SampleError, match=r"train.txt, line 2: expected 'image mask', got 'images/c.png"):
        load("s5-isaid", tmp_path)


def test_image_mask_options(write_pair, tmp_path):
    stored = np.array([[0, 10], [20, 99]], dtype=np.uint8)
    write_pair("images/a.png", "masks/a.png", stored)
    mapped = load("s5-image-mask", tmp_path, value_map={0: 0, 10: 1, 20: 2}, ignore_values=[99])
    assert mask_of(mapped[0]).tolist() == [[0, 1], [2, 255]]
    ignored = load("s5-image-mask", tmp_path, ignore_values=[0, 99], ignore_index=254)
    assert mask_of(ignored[0]).tolist() == [[254, 10], [20, 254]]
    with pytest.raises(SampleError, match=r"a.png: mask values \[10, 20, 99\] stand for no class"):
        load("s5-image-mask", tmp_path, classes=["other", "tree"], ignore_values=[7])
    with pytest.raises(ValueError, match="ignore_index 1 is the id of class 'tree'"):
        load("s5-image-mask", tmp_path, classes=["other", "tree"], ignore_index=1)


def test_image_mask_colours(write_pair, tmp_path):
    write_pair("images/a.png", "masks/a.png", np.array([[[9, 9, 9], [1, 2, 3]]], dtype=np.uint8))
    (sample,) = load("s5-image-mask", tmp_path, colours=[(1, 2, 3), (9, 9, 9)])
    assert mask_of(sample).tolist() == [[1, 0]]


def test_image_mask_csv(write_pair, tmp_path):
    for name in "ab":
        write_pair(f"x/{name}.png", f"y/{name}.png")
    (tmp_path / "train.csv").write_text("image,mask\nx/a.png,y/a.png\n", encoding="utf-8")
    (tmp_path / "val.csv").write_text("mask,image\ny/b.png,x/b.png\n", encoding="utf-8")
    assert [sample["id"] for sample in load("s5-image-mask", tmp_path)] == ["x/a"]
    assert [sample["id"] for sample in load("s5-image-mask", tmp_path, "val")] == ["x/b"]
    rows = "image,mask,split\nx/a.png,y/a.png,val\nx/b.png,y/b.png,train\n"
    (tmp_path / "pairs.csv").write_text(rows, encoding="utf-8")
    assert [sample["id"] for sample in load("s5-image-mask", tmp_path, csv="pairs.csv")] == ["x/b"]


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ("picture,mask\nx,y\n", SampleError, "line 1: expected a header with image and mask, got .'picture'"),
        ("image,mask\nx/a.png,\n", SampleError, "line 2: expected an image and a mask"),
        ("image,mask\nx/a.png,y/a.png\nx/a.png,y/zz.png\n", LayoutError, "line 3: there is no file y/zz.png"),
        ("image,mask\n", SampleError, "names no samples"),
        ("image,mask\n../a.png,y/a.png\n", LayoutError, "line 2: ../a.png is not below the data directory"),
    ],
)
def test_broken_csv(rows, error, message, write_pair, tmp_path):
    write_pair("x/a.png", "y/a.png")
    (tmp_path / "train.csv").write_text(rows, encoding="utf-8")
    with pytest.raises(error, match=f"train.csv.*{message}"):
        load("s5-image-mask", tmp_path)


def test_a_csv_in_another_encoding_is_named(write_pair, tmp_path):
    write_pair("x/a.png", "y/a.png")
    (tmp_path / "train.csv").write_text("image,mask\nx/a.png,y/a.png\n", encoding="utf-16")
    with pytest.raises(SampleError, match=r"train.csv: not UTF-8 text"):
        load("s5-image-mask", tmp_path)


@pytest.mark.parametrize("rows", ["image,mask\rx/a.png,y/a.png\r", "image,mask\nx\\a.png,./y/a.png\n"])
def test_a_csv_of_another_system_is_read(rows, write_pair, tmp_path):
    write_pair("x/a.png", "y/a.png")
    (tmp_path / "train.csv").write_bytes(rows.encode())
    assert [sample["id"] for sample in load("s5-image-mask", tmp_path)] == ["x/a"]


def test_jpeg_masks_are_read_with_a_warning(write_pair, tmp_path, caplog):
    write_pair("images/a.png", "masks/a.jpg")
    with caplog.at_level(logging.WARNING):
        assert len(load("s5-image-mask", tmp_path)) == 1
    assert "1 masks are JPEG files, such as" in caplog.text and "masks/a.jpg" in caplog.text


def test_missing_folder_and_unknown_layout(tmp_path, write_image):
    with pytest.raises(LayoutError, match=r"data_dir of s5-loveda does not exist: .*nowhere"):
        load("s5-loveda", tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"s5-loveda needs data_dir"):
        load_dataset("s5-loveda", split="train", streaming=True)
    write_image(tmp_path / "pictures/a.png")
    with pytest.raises(LayoutError) as raised:
        load("s5-loveda", tmp_path)
    message = str(raised.value)
    assert "none of the known layouts of s5-loveda; it holds 1 files such as pictures/a.png" in message
    assert "{Train,Val,Test}/{Rural,Urban}/images_png/N.png" in message
    assert "{train,val}/images/NAME, {train,val}/masks|labels/NAME" in message


def test_image_without_mask(write_pair, write_image, tmp_path):
    write_pair("train/images/a.png", "train/masks/a.png")
    write_image(tmp_path / "train/images/b.png")
    with pytest.raises(LayoutError, match=r"1 images have no label file, the first is train/images/b.png"):
        load("s5-isaid", tmp_path)


def test_mask_of_another_size(write_image, tmp_path):
    write_image(tmp_path / "train/images/a.png", size=(8, 6))
    write_image(tmp_path / "train/masks/a.png", np.zeros((6, 7), dtype=np.uint8))
    message = r"a.png: the image has 8 x 6 pixels, its mask 7 x 6"
    with pytest.raises(SampleError, match=message):
        load("s5-isaid", tmp_path)
    with pytest.raises(SampleError, match=message):
        load_dataset("s5-isaid", data_dir=str(tmp_path), cache_dir=str(tmp_path / "cache"))


def test_unknown_split_and_configuration_list_the_known(write_pair, tmp_path):
    write_pair("train/images/a.png", "train/masks/a.png")
    write_pair("val/images/a.png", "val/masks/a.png")
    with pytest.raises(ValueError, match=r"Bad split: validation. Available splits: \['train', 'val'\]"):
        load("s5-isaid", tmp_path, "validation")
    with pytest.raises(ValueError, match=r"'big' not found. Available: \['default'\]"):
        load_dataset("s5-isaid", "big", data_dir=str(tmp_path))
    with pytest.raises(ValueError, match="doesn't have a 'clases' key"):
        load("s5-image-mask", tmp_path, clases=["a"])
    with pytest.raises(ValueError, match="corrupt_images must be one of raise, skip, got 'drop'"):
        load("s5-isaid", tmp_path, corrupt_images="drop")


@pytest.mark.parametrize("damage", ["no image", "cut short", "broken inside"])
def test_corrupt_images_raise_or_are_skipped(damage, write_pair, write_image, tmp_path, caplog):
    for name in "abc":
        write_pair(f"train/images/{name}.png", f"train/masks/{name}.png", np.zeros((40, 40), dtype=np.uint8))
    path = tmp_path / "train/images/b.png"
    content = bytearray(path.read_bytes())
    if damage == "no image":
        content = b"nothing to see"
    elif damage == "cut short":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    if damage != "broken inside":
        with pytest.raises(CorruptImageError, match=r"b.png"):
            load("s5-isaid", tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [sample["id"] for sample in load("s5-isaid", tmp_path, corrupt_images="skip")] == ["a", "c"]
    assert "s5-isaid: 1 corrupt images were skipped" in caplog.text


def test_added_files_are_not_hidden_by_the_cache(write_pair, tmp_path):
    write_pair("data/train/images/a.png", "data/train/masks/a.png")
    folder = str(tmp_path / "data")
    assert len(load_dataset("s5-isaid", data_dir=folder, split="train")) == 1
    write_pair("data/train/images/b.png", "data/train/masks/b.png")
    dataset = load_dataset("s5-isaid", data_dir=folder, split="train")
    assert dataset["id"] == ["a", "b"]
    assert dataset.cast_column("image", dataset.features["image"].__class__(decode=False))[0]["image"]["bytes"] is None


def test_splits_join_and_processes_share_the_work(write_pair, tmp_path):
    for split in ("train", "val"):
        for number in range(100):
            write_pair(f"data/{split}/images/{split}{number}.png", f"data/{split}/masks/{split}{number}.png")
    folder = str(tmp_path / "data")
    assert len(load("s5-isaid", folder, "train+val")) == 200
    dataset = load_dataset("s5-isaid", data_dir=folder, split="train", num_proc=2)
    assert sorted(dataset["id"]) == sorted(f"train{number}" for number in range(100))
