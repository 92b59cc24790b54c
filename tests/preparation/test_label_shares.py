"""Whole images to tiles with the split lists of label shares, read back by the builders."""

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.dataset_builders.registry import get_entry
from s5_hf.preparation import prepare_label_shares


def save(folder, path, pixels):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / path)


def deepglobe(folder, count=10, size=(60, 62)):
    rng = np.random.default_rng(0)
    palette = np.array(get_entry("s5-deepglobe-landcover").palette, np.uint8)
    ids = rng.integers(0, 7, (count, *size))
    for index in range(count):
        save(folder, f"train/{index}_sat.jpg", rng.integers(0, 256, (*size, 3), np.uint8))
        save(folder, f"train/{index}_mask.png", palette[ids[index]])
    return ids


def load(name, folder, split, **options):
    return load_dataset(name, data_dir=str(folder), split=split, streaming=True, **options)


def test_deepglobe_as_published(tmp_path):
    ids = deepglobe(tmp_path, count=2)
    save(tmp_path, "valid/7_sat.jpg", np.zeros((4, 4, 3), np.uint8))
    samples = list(load("s5-deepglobe-landcover", tmp_path, "train"))
    assert [sample["id"] for sample in samples] == ["0", "1"]
    for sample, expected in zip(samples, ids, strict=True):
        assert np.array_equal(np.asarray(sample["mask"]), expected)
    (unlabelled,) = load("s5-deepglobe-landcover", tmp_path, "val")
    assert unlabelled["mask"] is None
    impure = np.array([[(3, 250, 130), (127, 0, 5)]], np.uint8)  # urban and unknown, not quite
    save(tmp_path, "train/0_mask.png", np.broadcast_to(impure, (60, 2, 3)).copy())
    save(tmp_path, "train/0_sat.jpg", np.zeros((60, 2, 3), np.uint8))
    assert np.asarray(next(iter(load("s5-deepglobe-landcover", tmp_path, "train")))["mask"])[0].tolist() == [0, 6]


def test_tiles_and_lists(tmp_path):
    ids = deepglobe(tmp_path / "raw")
    counts = prepare_label_shares("s5-deepglobe-landcover", tmp_path / "raw", tmp_path / "out", tile_size=12)
    assert (counts["train"], counts["val"], counts["test"]) == (180, 60, 60), "10 images of 5 x 6 tiles"
    assert [counts[f"labelled_{percent}"] for percent in (1, 5, 10)] == [1, 9, 18]
    assert counts["unlabelled_10"] == 162
    seen = 0
    for split in ("labelled_10", "unlabelled_10", "val", "test"):
        for sample in load("s5-deepglobe-landcover", tmp_path / "out", split):
            index, left, top, right, bottom = (int(part) for part in sample["id"].split("/")[-1].split("_"))
            assert (right - left, bottom - top) == (12, 12)
            expected = np.full((12, 12), 6)
            part = ids[index][top:bottom, left:right]
            expected[: part.shape[0], : part.shape[1]] = part
            assert np.array_equal(np.asarray(sample["mask"]), expected)
            seen += 1
    assert seen == 300


@pytest.mark.parametrize("name", ["s5-potsdam", "s5-loveda"])
def test_other_datasets_keep_their_classes(name, tmp_path):
    rng = np.random.default_rng(0)
    raw, out = tmp_path / "raw", tmp_path / "out"
    for index in range(8):
        image = rng.integers(0, 256, (40, 40, 3), np.uint8)
        if name == "s5-potsdam":
            palette = np.array(get_entry(name).palette, np.uint8)
            save(raw, f"2_Ortho_RGB/top_potsdam_2_{10 + index % 3}_RGB.tif", image)
            save(raw, f"5_Labels_all/top_potsdam_2_{10 + index % 3}_label.tif", palette[rng.integers(0, 6, (40, 40))])
        else:
            folder = f"{'Train' if index < 6 else 'Val'}/{('Rural', 'Urban')[index % 2]}"
            save(raw, f"{folder}/images_png/{index}.png", image)
            save(raw, f"{folder}/masks_png/{index}.png", rng.integers(0, 8, (40, 40)).astype(np.uint8))
    prepare_label_shares(name, raw, out, tile_size=4)
    whole = {}
    for split in load_dataset(name, data_dir=str(raw), streaming=True).values():
        whole |= {sample["id"].replace("/", "_"): np.asarray(sample["mask"]) for sample in split}
    for sample in load(name, out, "labelled_1"):
        scene, left, top, _, _ = sample["id"].split("/")[-1].rsplit("_", 4)
        part = whole[scene][int(top) : int(top) + 4, int(left) : int(left) + 4]
        assert np.array_equal(np.asarray(sample["mask"]), part)


def test_the_command_and_what_it_refuses(tmp_path):
    deepglobe(tmp_path / "raw")
    words = ["label-shares", "s5-deepglobe-landcover", str(tmp_path / "raw"), str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*words, "--tile-size", "12", "--by-scene", "--seed", "3"])
    assert result.exit_code == 0 and "train: 180 tiles" in result.output, result.output
    with pytest.raises(FileExistsError):
        prepare_label_shares("s5-deepglobe-landcover", tmp_path / "raw", tmp_path / "out")
    with pytest.raises(ValueError, match="s5-isaid has no protocol of label shares; those that have: s5-potsdam"):
        prepare_label_shares("s5-isaid", tmp_path / "raw", tmp_path / "new")
    with pytest.raises(ValueError, match="less than one labelled tile"):
        prepare_label_shares("s5-deepglobe-landcover", tmp_path / "raw", tmp_path / "new", tile_size=60)
    assert not (tmp_path / "new").exists()
