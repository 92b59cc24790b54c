"""The datasets that SegEarth-OV evaluates on beyond those of S5, made small in the layouts of their publishers."""

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from s5_hf.dataset_builders.errors import LayoutError, SampleError
from s5_hf.dataset_builders.labels import UAVID_PALETTE

BLACK_AND_WHITE = np.array([[0, 255, 127], [128, 0, 255]], dtype=np.uint8)
ONES = np.array([[0, 1, 0], [1, 0, 1]], dtype=np.uint8)


def load(name, folder, split):
    return list(load_dataset(name, data_dir=str(folder), split=split, streaming=True))


@pytest.fixture
def write_pair(write_image_and_mask):
    return lambda image, mask, ids=BLACK_AND_WHITE: write_image_and_mask(image, mask, ids)


# Rows look alike because they are a table of published layouts.
@pytest.mark.parametrize(
    ("name", "split", "image", "mask", "identity"),
    [
        ("s5-whu-aerial", "val", "val/image/2_3.tif", "val/label/2_3.tif", "2_3"),
        ("s5-whu-aerial", "train", "WHU-BD/train/image/1.png", "WHU-BD/train/label/1.png", "1"),
        ("s5-whu-satellite-2", "test", "1.cropped/test/image/0.tif", "1.cropped/test/label/0.tif", "1.cropped/0"),
        ("s5-inria", "test", "AerialImageDataset/train/images/tyrol-w1.tif", "", "tyrol-w1"),
        ("s5-inria", "val", "train/images/austin8.tif", "train/gt/austin8.tif", "austin8"),
        ("s5-inria", "train", "train/images/austin2.tif", "train/gt/austin2.tif", "austin2"),
        ("s5-inria", "test", "img_dir/split_test/a_0.png", "ann_dir/split_test/a_0.png", "a_0"),
        ("s5-chn6-cug", "val", "val/images/am1_sat.jpg", "val/gt/am1_mask.png", "am1"),
        ("s5-deepglobe-roads", "train", "train/7_sat.jpg", "train/7_mask.png", "7"),
        ("s5-deepglobe-roads", "test", "DeepGlobe_test_1530/img/7_sat.jpg", "DeepGlobe_test_1530/gt/7_mask.png", "7"),
        ("s5-massachusetts-roads", "test", "img/10.jpg", "gt/10.png", "10"),
        ("s5-massachusetts-roads", "val", "valid/sat/1_15.tiff", "valid/map/1_15.tif", "1_15"),
        (
            "s5-massachusetts-roads",
            "train",
            "tiff/train/10078660_15.tiff",
            "tiff/train_labels/10078660_15.tif",
            "10078660_15",
        ),
        ("s5-spacenet-roads", "test", "GlobalRoadSet_Val/SpaceNet_test_567/img/x.jpg", "", "x"),
        ("s5-wbs-si", "train", "Images/water_body_1.png", "Masks/water_body_1.png", "water_body_1"),
    ],
)
def test_black_and_white_masks(name, split, image, mask, identity, write_pair, tmp_path):
    gt = image.replace("/images/", "/gt/").replace("/img/", "/gt/").replace(".jpg", ".png")
    write_pair(image, mask or gt)
    (sample,) = load(name, tmp_path, split)
    assert sample["id"] == identity
    np.testing.assert_array_equal(np.asarray(sample["mask"]), [[0, 1, 0], [1, 0, 1]])


def test_class_ids_and_colours_are_read_too_and_what_is_ambiguous_is_refused(write_pair, tmp_path):
    write_pair("val/image/a.png", "val/label/a.png", ONES)
    (sample,) = load("s5-whu-aerial", tmp_path, "val")
    np.testing.assert_array_equal(np.asarray(sample["mask"]), ONES)
    Image.fromarray(np.stack([BLACK_AND_WHITE] * 3, axis=2)).save(tmp_path / "val/label/a.png")
    (sample,) = load("s5-whu-aerial", tmp_path, "val")
    np.testing.assert_array_equal(np.asarray(sample["mask"]), ONES)
    write_pair("val/image/a.png", "val/label/a.png", np.array([[0, 1, 255]], dtype=np.uint8))
    with pytest.raises(SampleError, match=r"a\.png: a mask with the values 1 and 255, .* as s5-image-mask"):
        load("s5-whu-aerial", tmp_path, "val")
    Image.fromarray(np.zeros((1, 3), dtype=np.float32)).save(tmp_path / "val/label/a.tif")
    (tmp_path / "val/label/a.png").unlink()
    with pytest.raises(SampleError, match="Pillow mode 'F', expected a black and white picture"):
        load("s5-whu-aerial", tmp_path, "val")


def test_xbd_is_read_before_disasters_only(write_pair, tmp_path):
    for folder, split in (("test", "test"), ("tier3", "train"), ("hold", "val")):
        for time in ("pre", "post"):
            name = f"{folder}_{time}_disaster"
            write_pair(f"xBD/{folder}/images/{name}.png", f"xBD/{folder}/targets/{name}_target.png", 4 * ONES)
        (sample,) = load("s5-xbd-pre", tmp_path, split)
        assert sample["id"] == f"{folder}_pre_disaster"
        np.testing.assert_array_equal(np.asarray(sample["mask"]), ONES)


def test_xbd_is_read_as_converted_from_its_polygons(write_pair, tmp_path):
    write_pair("holdout/images/a_1_pre_disaster.png", "holdout/targets/a_1_pre_disaster.png", ONES)
    write_pair("holdout/images/a_1_post_disaster.png", "holdout/targets/a_1_post_disaster.png", 4 * ONES)
    (sample,) = load("s5-xbd-pre", tmp_path, "val")
    assert sample["id"] == "a_1_pre_disaster"
    np.testing.assert_array_equal(np.asarray(sample["mask"]), ONES)
    (tmp_path / "holdout/targets/a_1_pre_disaster.png").unlink()
    with pytest.raises(LayoutError, match=r"(?s)none of the known .*/targets/NAME_pre_disaster"):  # as tier3
        load("s5-xbd-pre", tmp_path, "val")


def test_the_list_of_wbs_si_makes_a_split(write_pair, tmp_path):
    for number in (1, 2, 3):
        write_pair(f"Images/water_body_{number}.png", f"Masks/water_body_{number}.png")
    (tmp_path / "wbs-si_val.txt").write_text("water_body_2\n", encoding="utf-8")
    assert [sample["id"] for sample in load("s5-wbs-si", tmp_path, "val")] == ["water_body_2"]
    assert len(load("s5-wbs-si", tmp_path, "train")) == 2
    (tmp_path / "wbs-si_val.txt").write_text("water_body_9\n", encoding="utf-8")
    with pytest.raises(LayoutError, match=r"wbs-si_val.txt names 1 images that are not there, such as water_body_9"):
        load("s5-wbs-si", tmp_path, "val")


def test_the_cars_of_uavid_are_one_class(write_pair, tmp_path):
    colours = np.array([[*UAVID_PALETTE, (64, 0, 128)]], dtype=np.uint8)
    write_pair("uavid_val/seq16/Images/000000.png", "uavid_val/seq16/Labels/000000.png", colours)
    (sample,) = load("s5-uavid", tmp_path, "val")
    assert sample["id"] == "seq16/000000"
    assert np.asarray(sample["mask"]).tolist() == [[0, 1, 2, 3, 4, 5, 6, 3]]


@pytest.mark.parametrize(("folder", "split"), [("valid", "val"), ("test_gt", "test"), ("a/uavid_train", "train")])
def test_uavid_is_read_in_the_folders_of_its_toolkit(folder, split, write_pair, tmp_path):
    colours = np.array([[UAVID_PALETTE[2], UAVID_PALETTE[6]]], dtype=np.uint8)
    write_pair(f"{folder}/seq21/Images/000100.png", f"{folder}/seq21/Labels/000100.png", colours)
    (sample,) = load("s5-uavid", tmp_path, split)
    assert (sample["id"], np.asarray(sample["mask"]).tolist()) == ("seq21/000100", [[2, 6]])


@pytest.mark.parametrize(("name", "split"), [("s5-udd5", "val"), ("s5-vdd", "test")])
def test_masks_of_drone_images_hold_class_ids(name, split, write_pair, tmp_path):
    ids = np.array([[0, 1, 2], [3, 4, 4]], dtype=np.uint8)
    write_pair(f"{split}/src/DJI_1.JPG", f"{split}/gt/DJI_1.png", ids)
    (sample,) = load(name, tmp_path, split)
    assert sample["id"] == "DJI_1"
    np.testing.assert_array_equal(np.asarray(sample["mask"]), ids)
