"""Datasets of changes, made small in the layouts of their publishers."""

import numpy as np
import pytest
from datasets import Image, load_dataset
from PIL import Image as PillowImage

from s5_hf.data.sharding import write_parquet_shards
from s5_hf.dataset_builders.errors import CorruptImageError, LayoutError, SampleError
from s5_hf.dataset_builders.labels import SECOND_PALETTE

WHITE_IS_CHANGED = np.array([[0, 255, 127], [128, 0, 255]], dtype=np.uint8)
CHANGED = np.array([[0, 1, 0], [1, 0, 1]], dtype=np.uint8)


def load(folder, split, name="s5-image-pair-mask", **options):
    return list(load_dataset(name, data_dir=str(folder), split=split, streaming=True, **options))


@pytest.fixture
def write_pair(write_image, tmp_path):
    def write(before, after, *masks, ids=WHITE_IS_CHANGED):
        for seed, image in enumerate((before, after)):
            write_image(tmp_path / image, size=(ids.shape[1], ids.shape[0]), seed=seed)
        for mask in masks:
            write_image(tmp_path / mask, ids)

    return write


@pytest.mark.parametrize("folders", [("before", "after", "mask"), ("A", "B", "label")])
def test_own_pairs_are_read_by_split(folders, write_pair, tmp_path):
    for split in ("train", "val"):
        write_pair(
            *(f"{split}/{folder}/place.{end}" for folder, end in zip(folders, ("tif", "png", "png"), strict=True))
        )
    (sample,) = load(tmp_path, "val")
    assert list(sample) == ["image_before", "image_after", "mask", "id"]
    assert sample["id"] == "place"
    np.testing.assert_array_equal(np.asarray(sample["mask"]), CHANGED)
    before, after = (np.asarray(sample[f"image_{date}"]) for date in ("before", "after"))
    assert before.shape == after.shape == (2, 3, 3) and not np.array_equal(before, after)


def test_pairs_without_masks_are_for_training_without_labels_or_for_a_test(write_pair, tmp_path):
    write_pair("unlabelled/before/a.png", "unlabelled/after/a.png")
    write_pair("test/before/a.png", "test/after/a.png")
    write_pair("train/before/a.png", "train/after/a.png", "train/mask/a.png")
    for split, labelled in (("unlabelled", False), ("test", False), ("train", True)):
        (sample,) = load(tmp_path, split)
        assert (sample["mask"] is not None) == labelled
    (tmp_path / "train/mask/a.png").unlink()
    with pytest.raises(
        LayoutError, match=r"train/before/a.png and train/after/a.png have no mask; looked for the lay"
    ):
        load(tmp_path, "train")


def test_named_classes_are_ids_and_what_is_ambiguous_is_refused(write_pair, tmp_path):
    ids = np.array([[0, 1, 255]], dtype=np.uint8)
    write_pair("before/a.png", "after/a.png", "mask/a.png", ids=ids)
    with pytest.raises(
        SampleError, match=r"values 1 and 255, .* name the classes: classes=\[\"unchanged\", \"changed"
    ):
        load(tmp_path, "train")
    (sample,) = load(tmp_path, "train", classes=["unchanged", "built"])
    np.testing.assert_array_equal(np.asarray(sample["mask"]), ids)
    (sample,) = load(tmp_path, "train", value_map={0: 0, 1: 1, 255: 7})
    assert np.asarray(sample["mask"]).tolist() == [[0, 1, 7]]
    with pytest.raises(ValueError, match="ignore_index 1 is the id of class 'built'"):
        load(tmp_path, "train", classes=["unchanged", "built"], ignore_index=1)


def test_dates_of_unlike_sizes_and_missing_dates_are_refused(write_pair, write_image, tmp_path):
    write_pair("before/a.png", "after/a.png", "mask/a.png")
    write_image(tmp_path / "after/a.png", size=(4, 2))
    with pytest.raises(SampleError, match=r"before/a.png has 3 x 2 pixels, .*after/a.png has 4 x 2"):
        load(tmp_path, "train")
    write_image(tmp_path / "before/b.png", size=(4, 2))
    with pytest.raises(LayoutError, match=r"1 images have no image of the other date, the first is before/b.png"):
        load(tmp_path, "train")


def test_a_pixel_without_data_at_either_date_is_ignored(tmp_path, write_image):
    rasterio = pytest.importorskip("rasterio")
    for date, empty in (("before", (0, 0)), ("after", (1, 2))):
        pixels = np.full((2, 3), 900, dtype=np.uint16)
        pixels[empty] = 7
        (tmp_path / date).mkdir()
        profile = {"driver": "GTiff", "width": 3, "height": 2, "count": 1, "dtype": "uint16", "nodata": 7}
        profile["transform"] = rasterio.Affine.translation(1, 1)
        with rasterio.open(tmp_path / date / "a.tif", "w", **profile) as file:
            file.write(pixels, 1)
    write_image(tmp_path / "mask/a.png", WHITE_IS_CHANGED)
    (sample,) = load(tmp_path, "train")
    assert np.asarray(sample["mask"]).tolist() == [[255, 1, 0], [1, 0, 255]]


def test_damage_of_either_date_is_found_and_may_be_skipped(write_pair, tmp_path):
    for name in "ab":
        write_pair(f"before/{name}.png", f"after/{name}.png", f"mask/{name}.png")
    (tmp_path / "after/a.png").write_bytes((tmp_path / "after/a.png").read_bytes()[:60])
    assert [sample["id"] for sample in load(tmp_path, "train", corrupt_images="skip")] == ["b"]
    with pytest.raises(CorruptImageError, match=r"after/a.png|image_after of a"):
        [np.asarray(sample["image_after"]) for sample in load(tmp_path, "train")]


def test_pairs_travel_as_parquet_and_not_as_tar(write_pair, write_tar, tmp_path):
    write_pair("before/a.png", "after/a.png", "mask/a.png")
    rows = load_dataset("s5-image-pair-mask", data_dir=str(tmp_path), split="train", streaming=True)
    write_parquet_shards(rows, tmp_path / "shards")
    (sample,) = load(tmp_path / "shards", "train")
    assert sample["id"] == "a" and np.asarray(sample["mask"]).tolist() == CHANGED.tolist()
    write_tar(tmp_path / "tar/train.tar", [("a.png", b"")])
    with pytest.raises(
        OSError, match=r"train.tar is a tar file, which holds one image per sample; write pairs as Par"
    ):
        load(tmp_path / "tar", "train")
    other = load_dataset("parquet", data_files=str(tmp_path / "shards/data/*.parquet"), split="train")
    write_parquet_shards(other.rename_column("image_after", "later").cast_column("later", Image()), tmp_path / "half")
    with pytest.raises(OSError, match="has no image_after column"):
        load(tmp_path / "half", "train")


@pytest.mark.parametrize(
    ("name", "split", "paths", "identity"),
    [
        ("s5-levir-cd", "val", ("val/A/val_1.png", "val/B/val_1.png", "val/label/val_1.png"), "val_1"),
        (
            "s5-levir-cd",
            "test",
            ("LEVIR-CD/A/test_9.png", "LEVIR-CD/B/test_9.png", "LEVIR-CD/label/test_9.png"),
            "test_9",
        ),
        ("s5-whu-cd", "test", ("test/A/0.png", "test/B/0.png", "test/label/0.png"), "0"),
        (
            "s5-whu-cd",
            "train",
            (
                "two/2012/whole_image/train/image/2012_train.tif",
                "two/2016/whole_image/train/image/2016_train.tif",
                "two/change_label/train/change_label.tif",
            ),
            "train",
        ),
        ("s5-whu-cd", "train", ("before/before.tif", "after/after.tif", "change label/change_label.tif"), "whole"),
        ("s5-s2looking", "train", ("train/Image1/3.png", "train/Image2/3.png", "train/label/3.png"), "3"),
        (
            "s5-bandon",
            "val",
            ("val/imgs/bj/t1/L1_2.jpg", "val/imgs/bj/t3/L1_2.jpg", "val/labels/bj/t1VSt3/L1_2.png"),
            "bj/t1VSt3/L1_2",
        ),
        (
            "s5-bandon",
            "test",
            ("test_1024/imgs/A/x.jpg", "test_1024/imgs/B/x.jpg", "test_1024/labels_unch0ch1ig255_unch0ch255/x.png"),
            "x",
        ),
    ],
)
def test_published_pairs_of_buildings(name, split, paths, identity, write_pair, tmp_path):
    write_pair(*paths)
    (sample,) = load(tmp_path, split, name)
    assert sample["id"] == identity
    np.testing.assert_array_equal(np.asarray(sample["mask"]), CHANGED)


def test_lists_name_crops(write_pair, tmp_path):
    for name in ("a", "b"):
        write_pair(f"A/{name}.png", f"B/{name}.png", f"label/{name}.png")
    (tmp_path / "list").mkdir()
    (tmp_path / "list/train.txt").write_text("b.png\n", encoding="utf-8")
    (tmp_path / "list/test.txt").write_text("a.png\n\n", encoding="utf-8")
    assert [sample["id"] for sample in load(tmp_path, "train", "s5-whu-cd")] == ["b"]
    (tmp_path / "B/a.png").unlink()
    with pytest.raises(LayoutError, match=r"list/test.txt names a.png, but there is no file B/a.png"):
        load(tmp_path, "test", "s5-whu-cd")


def test_the_masks_of_bandon_ignore_what_their_folder_says(write_pair, tmp_path):
    ids = np.array([[0, 1, 255]], dtype=np.uint8)
    write_pair(
        "train/imgs/sh/t1/x.jpg", "train/imgs/sh/t2/x.jpg", "train/labels_unch0ch1ig255/sh/t1VSt2/x.png", ids=ids
    )
    (sample,) = load(tmp_path, "train", "s5-bandon")
    np.testing.assert_array_equal(np.asarray(sample["mask"]), ids)
    (tmp_path / "train/labels_unch0ch1ig255").rename(tmp_path / "train/labels")
    with pytest.raises(SampleError, match="it belongs in a folder called labels_unch0ch1ig255"):
        load(tmp_path, "train", "s5-bandon")
    (tmp_path / "train/imgs/sh/t2/x.jpg").unlink()
    with pytest.raises(LayoutError, match=r"t1VSt2/x.png has no image train/imgs/sh/t2/x.jpg"):
        load(tmp_path, "train", "s5-bandon")


@pytest.mark.parametrize("folder", ["train/", "", "SECOND_train_set/"])
def test_second_has_classes_at_both_dates(folder, write_pair, write_image, tmp_path):
    palette = np.array([*SECOND_PALETTE], dtype=np.uint8)
    before, after = np.array([[0, 5, 1], [2, 0, 6]]), np.array([[0, 3, 1], [4, 0, 5]])
    write_pair(f"{folder}im1/1.png", f"{folder}im2/1.png", ids=before)
    write_image(tmp_path / f"{folder}label1/1.png", palette[before])
    indexed = PillowImage.fromarray(6 - after.astype(np.uint8), mode="P")
    indexed.putpalette(palette[::-1].ravel().tolist())
    (tmp_path / f"{folder}label2").mkdir()
    indexed.save(tmp_path / f"{folder}label2/1.png")
    (sample,) = load(tmp_path, "train", "s5-second")
    found = [np.asarray(sample[column]).tolist() for column in ("mask", "mask_before", "mask_after")]
    assert found == [[[0, 1, 1], [1, 0, 1]], before.tolist(), after.tolist()]
    write_image(tmp_path / f"{folder}label2/1.png", after.astype(np.uint8))
    (sample,) = load(tmp_path, "train", "s5-second")
    assert np.asarray(sample["mask_after"]).tolist() == after.tolist()
    write_image(tmp_path / f"{folder}label2/1.png", np.full((2, 3), 9, dtype=np.uint8))
    with pytest.raises(SampleError, match=r"mask values \[9\] stand for no class"):
        load(tmp_path, "train", "s5-second")
