"""Vaihingen and Potsdam hold 0..5 in the release and 1..6 as mmsegmentation cuts them: never mixed up in silence."""

import numpy as np
import pytest
from datasets import load_dataset

from s5_hf.dataset_builders.errors import EncodingError
from s5_hf.dataset_builders.labels import ISPRS_PALETTE
from s5_hf.preparation import prepare

RELEASE_IDS = np.arange(6, dtype=np.uint8)[None]
SHIFTED_IDS = np.arange(7, dtype=np.uint8)[None]
VAIHINGEN_RELEASE = ("img_dir/{}/top_mosaic_09cm_area11_0.tif", "ann_dir/{}/top_mosaic_09cm_area11_0.tif")
VAIHINGEN_CROP = ("img_dir/{}/area1_0_0_512_512.png", "ann_dir/{}/area1_0_0_512_512.png")
POTSDAM_RELEASE = ("{}/top_potsdam_2_10_RGB_crop_7.tif", "{}/top_potsdam_2_10_label_crop_7.tif")
POTSDAM_CROP = ("img_dir/{}/2_10_0_0_512_512.png", "ann_dir/{}/2_10_0_0_512_512.png")


def load(name, folder, split="train", **options):
    return list(load_dataset(name, data_dir=str(folder), split=split, streaming=True, **options))


def masks(name, folder, split="train", **options):
    return [np.asarray(sample["mask"]).tolist() for sample in load(name, folder, split, **options)]


@pytest.fixture
def write_pair(write_image, tmp_path):
    def write(pair, ids, split="train"):
        for path, array in zip(pair, (None, ids), strict=True):
            write_image(tmp_path / path.format(split), array, size=(ids.shape[1], ids.shape[0]))

    return write


@pytest.mark.parametrize("split", ["train", "val"])
def test_release_crops_of_vaihingen_keep_their_ids(split, write_pair, tmp_path):
    write_pair(VAIHINGEN_RELEASE, RELEASE_IDS, split)
    (sample,) = load("s5-vaihingen", tmp_path, split)
    assert sample["id"] == "top_mosaic_09cm_area11_0"
    assert np.asarray(sample["mask"]).tolist() == [[0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("stored", [[0, 1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]])
@pytest.mark.parametrize(("name", "pair"), [("s5-vaihingen", VAIHINGEN_CROP), ("s5-potsdam", POTSDAM_CROP)])
def test_crops_of_mmsegmentation_are_shifted_with_or_without_clutter(name, pair, stored, write_pair, tmp_path):
    write_pair(pair, np.array([stored], dtype=np.uint8))
    assert masks(name, tmp_path) == [[[[5, 0, 1, 2, 3, 4, 5][value] for value in stored]]]


@pytest.mark.parametrize(
    ("images", "labels"), [("img_dir/{}", "ann_dir/{}"), ("{}/images", "{}/masks"), ("images/{}", "labels/{}")]
)
def test_release_crops_of_potsdam_are_paired_in_every_common_layout(images, labels, write_pair, tmp_path):
    image, label = (name.removeprefix("{}/") for name in POTSDAM_RELEASE)
    for number in (7, 8):
        pair = f"{images}/{image}", f"{labels}/{label}"
        write_pair([path.replace("crop_7", f"crop_{number}") for path in pair], RELEASE_IDS)
    samples = load("s5-potsdam", tmp_path)
    assert [sample["id"] for sample in samples] == ["top_potsdam_2_10_crop_7", "top_potsdam_2_10_crop_8"]
    assert masks("s5-potsdam", tmp_path) == [RELEASE_IDS.tolist()] * 2


def test_release_names_with_a_six_are_refused(write_pair, tmp_path):
    write_pair(VAIHINGEN_RELEASE, SHIFTED_IDS)
    with pytest.raises(
        EncodingError, match=r"named as in the release.*area11_0.tif holds a 6.*mask_values: 'release'"
    ):
        load("s5-vaihingen", tmp_path)
    assert masks("s5-vaihingen", tmp_path, mask_values="shifted") == [[[5, 0, 1, 2, 3, 4, 5]]]


def test_shifted_names_with_a_wide_zero_and_no_six_are_refused(write_pair, tmp_path):
    write_pair(POTSDAM_CROP, np.array([[0, 0, 0, 1, 2, 5]], dtype=np.uint8))
    with pytest.raises(EncodingError, match=r"0 is the boundary.*50% of the pixels looked at are 0 and none is 6"):
        load("s5-potsdam", tmp_path)
    assert masks("s5-potsdam", tmp_path, mask_values="release") == [[[0, 0, 0, 1, 2, 5]]]


@pytest.mark.parametrize("folders", [("img_dir/{}", "ann_dir/{}"), ("{}/images", "{}/masks")])
@pytest.mark.parametrize("name", ["mine", "area1_0_0_512_512"])
def test_uncertain_masks_are_refused_unless_a_six_is_seen(folders, name, write_pair, tmp_path):
    if name != "mine" and "ann_dir" in folders[1]:
        pytest.skip("these are crops of mmsegmentation")
    pair = [f"{folder}/{name}.png" for folder in folders]
    write_pair(pair, RELEASE_IDS)
    with pytest.raises(EncodingError, match=rf"such as .*{name}.png, tell whether they count from 0 or from 1"):
        load("s5-vaihingen", tmp_path)
    assert masks("s5-vaihingen", tmp_path, mask_values="release") == [RELEASE_IDS.tolist()]
    write_pair(pair, SHIFTED_IDS)
    assert masks("s5-vaihingen", tmp_path) == [[[5, 0, 1, 2, 3, 4, 5]]]


def test_names_of_both_kinds_together_are_uncertain(write_pair, tmp_path):
    write_pair(VAIHINGEN_RELEASE, RELEASE_IDS)
    write_pair(VAIHINGEN_CROP, RELEASE_IDS)
    with pytest.raises(EncodingError, match="neither the names nor the values"):
        load("s5-vaihingen", tmp_path)


@pytest.mark.parametrize(
    ("pair", "stored", "expected"),
    [(VAIHINGEN_RELEASE, RELEASE_IDS, [0, 1, 2, 3, 4, 5]), (VAIHINGEN_CROP, SHIFTED_IDS, [5, 0, 1, 2, 3, 4, 5])],
)
def test_names_in_split_lists_tell_the_encoding(pair, stored, expected, write_pair, tmp_path):
    write_pair(pair, stored)
    (tmp_path / "train.txt").write_text(" ".join(path.format("train") for path in pair) + "\n", encoding="utf-8")
    assert masks("s5-vaihingen", tmp_path) == [[expected]]


def test_prepared_crops_hold_the_values_of_the_release(write_image, tmp_path):
    """They have the names of mmsegmentation's; what `prepare` leaves beside them tells."""
    colours = np.array(ISPRS_PALETTE, dtype=np.uint8)[np.tile(RELEASE_IDS, (512, 86))[:, :512]]
    write_image(tmp_path / "raw/top/top_mosaic_09cm_area1.tif", size=(512, 512))
    write_image(tmp_path / "raw/gts/top_mosaic_09cm_area1.tif", colours)
    prepare("s5-vaihingen", tmp_path / "raw", tmp_path / "out", workers=1)
    (mask,) = masks("s5-vaihingen", tmp_path / "out")
    assert mask[0][:6] == [0, 1, 2, 3, 4, 5]


def test_colour_masks_need_no_choice_and_a_stray_one_channel_mask_is_refused(write_pair, write_image, tmp_path):
    for number in range(40):
        colours = np.array(ISPRS_PALETTE, dtype=np.uint8)[RELEASE_IDS]
        write_pair((f"{{}}/images/{number:02}.png", f"{{}}/masks/{number:02}.png"), colours)
    assert masks("s5-potsdam", tmp_path)[0] == RELEASE_IDS.tolist()
    write_image(tmp_path / "train/masks/04.png", RELEASE_IDS)  # not among those that are looked at
    with pytest.raises(ValueError, match=r"04.png: a mask of one channel, expected colours"):
        load("s5-potsdam", tmp_path)
