"""Potsdam and Vaihingen tiles become the official crops."""

import shutil

import numpy as np
import pytest
from PIL import Image

from s5_hf.preparation import prepare
from s5_hf.preparation.isprs import potsdam_cutter, vaihingen_cutter
from tests.preparation.tiles import potsdam_tile, random_image, random_label, write_label


def crops_below(folder):
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))}


@pytest.mark.parametrize(("cutter", "train", "val"), [(potsdam_cutter, 24, 14), (vaihingen_cutter, 16, 17)])
def test_official_splits(cutter, train, val):
    splits = cutter().splits
    assert (len(splits["train"]), len(splits["val"])) == (train, val)
    assert not set(splits["train"]) & set(splits["val"])


def test_a_6000_px_tile_gives_144_val_crops(tmp_path):
    """The full size of a real tile; labels in one colour keep it quick."""
    folder = tmp_path / "raw"
    folder.mkdir()
    Image.new("RGB", (6000, 6000), (10, 20, 30)).save(folder / "top_potsdam_2_13_RGB.tif", compression="tiff_lzw")
    Image.new("RGB", (6000, 6000), (0, 255, 0)).save(folder / "top_potsdam_2_13_label.tif", compression="tiff_lzw")
    summary = prepare("s5-potsdam", folder, tmp_path / "out", workers=1)
    assert [(split.split, split.tiles, split.crops) for split in summary.splits] == [("val", 1, 144)]
    images = list((tmp_path / "out/val/images").iterdir())
    assert len(images) == 144
    assert (tmp_path / "out/val/images/2_13_5488_0_6000_512.png") in images
    assert set(np.unique(Image.open(tmp_path / "out/val/masks/2_13_5488_5488_6000_6000.png"))) == {3}


def test_potsdam_crops_hold_the_pixels_and_ids_of_their_window(tmp_path):
    pixels, ids = potsdam_tile(tmp_path / "raw", "2_10", width=1000, height=600)
    summary = prepare("s5-potsdam", tmp_path / "raw", tmp_path / "out", workers=1)
    images, masks = crops_below(tmp_path / "out/train/images"), crops_below(tmp_path / "out/train/masks")
    # Starts 0, 256, 488 (shifted back to end at 1000) times 0, 88.
    assert len(images) == summary.splits[0].crops == 6
    assert images.keys() == masks.keys()
    for name in images:
        left, top, right, bottom = map(int, name.removeprefix("2_10_").removesuffix(".png").split("_"))
        assert (images[name] == pixels[top:bottom, left:right]).all()
        assert (masks[name] == ids[top:bottom, left:right]).all()
    assert {"2_10_0_0_512_512.png", "2_10_488_88_1000_600.png"} < images.keys()
    assert "23 more" not in str(summary.notes)
    assert summary.notes[0].startswith("37 of 38 official tiles are missing: 2_11, 2_12")


def test_a_small_tile_is_padded_with_ignored_pixels(tmp_path):
    pixels, ids = potsdam_tile(tmp_path / "raw", "2_13", width=500, height=300)
    prepare("s5-potsdam", tmp_path / "raw", tmp_path / "out", workers=1)
    image = crops_below(tmp_path / "out/val/images")["2_13_0_0_512_512.png"]
    mask = crops_below(tmp_path / "out/val/masks")["2_13_0_0_512_512.png"]
    assert (image[:300, :500] == pixels).all()
    assert (image[300:] == (124, 116, 104)).all()
    assert (mask[:300, :500] == ids).all()
    assert (mask[:, 500:] == 5).all()


def test_tiles_outside_the_split_are_left_out_and_told(tmp_path):
    potsdam_tile(tmp_path / "raw", "2_13")
    potsdam_tile(tmp_path / "raw", "9_99")
    summary = prepare("s5-potsdam", tmp_path / "raw", tmp_path / "out", workers=1)
    assert "tiles outside the official split, left out: 9_99" in summary.notes
    assert not list((tmp_path / "out").rglob("9_99*"))


def test_other_imagery_and_bands_can_be_chosen(tmp_path):
    potsdam_tile(tmp_path / "raw", "2_13", width=512, height=512)
    infrared = random_image(tmp_path / "raw/3_Ortho_IRRG/top_potsdam_2_13_IRRG.tif", 512, 512, seed=7)
    prepare("s5-potsdam", tmp_path / "raw", tmp_path / "irrg", workers=1, imagery="IRRG")
    assert (crops_below(tmp_path / "irrg/val/images")["2_13_0_0_512_512.png"] == infrared).all()
    prepare("s5-potsdam", tmp_path / "raw", tmp_path / "bgr", workers=1, imagery="IRRG", bands=(3, 2, 1))
    assert (crops_below(tmp_path / "bgr/val/images")["2_13_0_0_512_512.png"] == infrared[..., ::-1]).all()
    with pytest.raises(FileNotFoundError, match=r"top_potsdam_2_10_RGBIR\.tif"):
        prepare("s5-potsdam", tmp_path / "raw", tmp_path / "x", workers=1, imagery="RGBIR")


def test_vaihingen_tells_images_from_labels_by_their_folder(tmp_path):
    name = "top_mosaic_09cm_area1.tif"
    pixels = random_image(tmp_path / "raw/top" / name, 600, 512)
    random_label(tmp_path / "raw/gts_for_participants" / name, 600, 512, seed=5)
    ids = random_label(tmp_path / "raw/ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE" / name, 600, 512)
    random_label(tmp_path / "raw/eroded_labels/top_mosaic_09cm_area1_noBoundary.tif", 600, 512)
    prepare("s5-vaihingen", tmp_path / "raw", tmp_path / "out", workers=1)
    images = crops_below(tmp_path / "out/train/images")
    masks = crops_below(tmp_path / "out/train/masks")
    assert list(images) == list(masks) == ["area1_0_0_512_512.png", "area1_88_0_600_512.png"]
    assert (images["area1_88_0_600_512.png"] == pixels[:, 88:]).all()
    assert (masks["area1_88_0_600_512.png"] == ids[:, 88:]).all()


def test_labels_without_borders_serve_only_where_there_are_no_others(tmp_path):
    _, ids = potsdam_tile(tmp_path / "raw", "2_13", width=512, height=512)
    borders = tmp_path / "raw/5_Labels_all_noBoundary/top_potsdam_2_13_label_noBoundary.tif"
    write_label(borders, np.zeros((512, 512), dtype=np.uint8), [(0, 0, 0)])
    prepare("s5-potsdam", tmp_path / "raw", tmp_path / "full", workers=1)
    assert (crops_below(tmp_path / "full/val/masks")["2_13_0_0_512_512.png"] == ids).all()
    shutil.rmtree(tmp_path / "raw/5_Labels_all")
    prepare("s5-potsdam", tmp_path / "raw", tmp_path / "borders", workers=1)
    assert (crops_below(tmp_path / "borders/val/masks")["2_13_0_0_512_512.png"] == 5).all()


def test_vaihingen_has_one_imagery(tmp_path):
    with pytest.raises(ValueError, match="s5-vaihingen has a single version of its images, not 'RGB'"):
        prepare("s5-vaihingen", tmp_path, tmp_path.with_name("out"), imagery="RGB")


def test_no_tiles_says_what_was_looked_for(tmp_path):
    random_image(tmp_path / "photo.png", 5, 5)
    with pytest.raises(FileNotFoundError, match=r"No tiles of s5-potsdam below .*top_potsdam_2_10_RGB\.tif"):
        prepare("s5-potsdam", tmp_path, tmp_path.with_name("out"))
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        prepare("s5-potsdam", tmp_path / "nowhere", tmp_path / "out")


def test_a_tile_without_label_is_named(tmp_path):
    potsdam_tile(tmp_path / "raw", "2_13")
    shutil.rmtree(tmp_path / "raw/5_Labels_all")
    with pytest.raises(FileNotFoundError, match="Tile 2_13 of s5-potsdam has an image but no label"):
        prepare("s5-potsdam", tmp_path / "raw", tmp_path / "out")


def test_a_tile_that_is_there_twice_is_named(tmp_path):
    potsdam_tile(tmp_path / "raw/a", "2_13")
    potsdam_tile(tmp_path / "raw/b", "2_13")
    with pytest.raises(ValueError, match="The image of s5-potsdam tile 2_13 occurs 2 times"):
        prepare("s5-potsdam", tmp_path / "raw", tmp_path / "out")


def test_bad_tiles_are_reported_together_and_the_others_are_finished(tmp_path):
    for name in ("2_13", "2_14", "3_13"):
        potsdam_tile(tmp_path / "raw", name)
    random_label(tmp_path / "raw/5_Labels_all/top_potsdam_2_13_label.tif", 500, 550)
    random_image(tmp_path / "raw/5_Labels_all/top_potsdam_2_14_label.tif", 600, 550)
    with pytest.raises(ValueError, match="2 of 3 tiles could not be cut") as caught:
        prepare("s5-potsdam", tmp_path / "raw", tmp_path / "out", workers=1)
    message = str(caught.value)
    assert "top_potsdam_2_13_label.tif is 500 x 550 px" in message and "is 600 x 550 px" in message
    assert "top_potsdam_2_14_label.tif: label colours that no class has" in message
    written = {path.name.rsplit("_", 4)[0] for path in (tmp_path / "out").rglob("*.png")}
    assert written == {"3_13"}
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []


def test_unknown_datasets_and_options(tmp_path):
    with pytest.raises(KeyError, match="s5-potsdam"):
        prepare("potsdam", tmp_path, tmp_path)
    with pytest.raises(ValueError, match="s5-loveda needs no preparation"):
        prepare("s5-loveda", tmp_path, tmp_path)
    with pytest.raises(ValueError, match="s5-potsdam takes no option 'config'; it takes bands, color_tolerance"):
        prepare("s5-potsdam", tmp_path, tmp_path, config="v1.0")
    with pytest.raises(ValueError, match="At least 1 worker"):
        prepare("s5-potsdam", tmp_path, tmp_path, workers=0)
    with pytest.raises(ValueError, match="lies in the folder of the raw files"):
        prepare("s5-potsdam", tmp_path, tmp_path / "out")
