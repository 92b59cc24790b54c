"""Which labelled images a run learns from: covering the classes, from a list, or from a curation."""

from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from s5_hf.training.pretraining.data import load_data
from s5_hf.training.pretraining.labelled_choice import (
    balanced_choice,
    class_shares,
    covering_choice,
    curated_names,
    listed_choice,
    random_choice,
    read_names,
    shown_classes,
)
from s5_hf.training.pretraining.recipe import DataSettings

LABELS = ("a", "b", "c")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """10 pairs of which only the last shows class 2, and two plain images below `archive`."""
    root = tmp_path_factory.mktemp("choice")
    for kind in ("images", "masks"):
        (root / "train" / kind).mkdir(parents=True)
    for index in range(10):
        mask = np.full((8, 8), index % 2, dtype=np.uint8)
        mask[:4] = 2 if index == 9 else mask[:4]
        Image.fromarray(np.full((8, 8, 3), 20 * index, dtype=np.uint8)).save(root / f"train/images/{index}.png")
        Image.fromarray(mask).save(root / f"train/masks/{index}.png")
    (root / "archive" / "deep").mkdir(parents=True)
    for name in ("one.png", "deep/two.png"):
        Image.new("RGB", (8, 8)).save(root / "archive" / name)
    return root


def data_settings(folders, **changes):
    values = {
        "labelled_dataset": "s5-image-mask",
        "labelled_dir": str(folders),
        "classes": list(LABELS),
        "validation_split": "none",
        "unlabelled_dataset": "rest",
        "labelled_count": 3,
    }
    return DataSettings(**{**values, **changes})


# The arguments of `given` look alike because they are tables of what the two kinds of choice take.
@given(
    shown=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=12),
    count=st.integers(1, 12),
    seed=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_a_covering_choice_covers_or_says_why_not(shown, count, seed):
    shown = np.array(shown)
    try:
        chosen = covering_choice(shown, count, seed, LABELS)
    except ValueError as error:
        too_few = count > len(shown)
        assert too_few or not shown.any(0).all() or "too few to show all 3 classes" in str(error)
        return
    assert len(set(chosen)) == len(chosen) == count and chosen == sorted(chosen)
    assert shown[chosen].any(0).all()
    assert chosen == covering_choice(shown, count, seed, LABELS)


def test_classes_are_shown_about_equally_often():
    shown = np.zeros((100, 3), dtype=bool)
    shown[:, 0] = True
    shown[:10, 1] = True
    shown[95:, 2] = True
    assert shown[covering_choice(shown, 6, 0, LABELS)].sum(0).tolist() == [6, 3, 3]
    assert covering_choice(shown, 6, 0, LABELS) != covering_choice(shown, 6, 1, LABELS)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (1, "labelled_count is 1, too few to show all 3 classes: .* needs 2 of the 10 labelled images"),
        (11, "labelled_count is 11, but the dataset has 10 samples"),
    ],
)
def test_too_few_images_are_refused_with_the_numbers(folders, count, message):
    with pytest.raises(ValueError, match=message):
        load_data(data_settings(folders, labelled_choice="covering", labelled_count=count), 0, False)
    with pytest.raises(ValueError, match="no labelled image has d"):
        classes = [*LABELS, "d"]
        load_data(data_settings(folders, labelled_choice="covering", classes=classes), 0, False)


def test_a_covering_choice_from_masks(folders):
    for seed in range(3):
        data = load_data(data_settings(folders, labelled_choice="covering"), seed, True)
        assert "9" in data.labelled["id"] and len(data.labelled) == 3 and len(data.unlabelled) == 7
        assert {int(name) % 2 for name in data.labelled["id"]} == {0, 1}


@given(
    pixels=st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), min_size=1, max_size=6),
    count=st.integers(1, 3),
    least=st.floats(0, 0.6),
)
@settings(max_examples=12, deadline=None)
def test_a_balanced_choice_is_balanced_or_says_how_close_it_came(pixels, count, least):
    pixels = np.array(pixels)
    try:
        chosen = balanced_choice(pixels, count, 0, least, ("a", "b"))
    except ValueError as error:
        every = [pixels[list(places)].sum(0) for places in combinations(range(len(pixels)), count)]
        assert len(pixels) < count or max(found.min() / max(found.sum(), 1) for found in every) < least
        assert "the best of 10,000 draws has" in str(error) or "labelled_count is" in str(error)
        return
    assert len(set(chosen)) == len(chosen) == count and chosen == sorted(chosen)
    assert pixels[chosen].sum(0).min() >= least * pixels[chosen].sum() - 1e-9


def test_a_balanced_choice_from_masks(folders):
    classes = ["a", "b", "c"]
    for seed in range(3):
        keys = {"labelled_choice": "balanced", "least_share": 0.25, "labelled_count": 2, "classes": classes}
        data = load_data(data_settings(folders, **keys), seed, True)
        assert "9" in data.labelled["id"] and int(data.labelled["id"][0]) % 2 == 0, "1/2 of a, 1/4 of b and of c"
    with pytest.raises(ValueError, match=r"no 3 of the 10 .* has 25\.0%; the best of 10,000 draws has 16\.7% of "):
        load_data(data_settings(folders, **{**keys, "labelled_count": 3}), 0, True)


def test_a_class_counts_from_a_share_of_the_pixels_on(folders):
    dataset = load_dataset("s5-image-mask", data_dir=str(folders), split="train", classes=list(LABELS))
    shown = shown_classes(class_shares(dataset, 3, 255))
    assert shown[9].tolist() == [False, True, True] and shown[0].tolist() == [True, False, False]
    large, tiny = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    large[:5], tiny[0, 0] = 1, 1
    samples = [{"id": "large", "mask": large}, {"id": "tiny", "mask": tiny}]
    assert shown_classes(class_shares(samples, 2, 255)).tolist() == [[True, True], [True, False]]
    assert shown_classes(class_shares(samples[1:], 2, 255)).tolist() == [[True, True]], "tiny is all there is"


def test_a_list_of_names(folders, tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("7\n\n2\n", encoding="utf-8")
    found = load_data(data_settings(folders, labelled_list=str(path), labelled_count=None), 0, True)
    assert found.labelled["id"] == ["2", "7"] and len(found.unlabelled) == 8
    assert load_data(data_settings(folders, labelled_list=str(path), labelled_count=1), 0, True).labelled["id"] == [
        "7"
    ]
    with pytest.raises(ValueError, match=r"labelled_count is 3, but .*names.txt names 2 images"):
        load_data(data_settings(folders, labelled_list=str(path)), 0, True)
    path.write_text("7\nseven\n", encoding="utf-8")
    with pytest.raises(ValueError, match="does not have, such as 'seven'; its ids look like '0'"):
        load_data(data_settings(folders, labelled_list=str(path), labelled_count=None), 0, True)


def test_bad_lists(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_names(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(ValueError, match="names no images"):
        read_names(tmp_path / "empty.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"not UTF-8 text \(byte 0\)"):
        read_names(tmp_path / "binary.txt")
    with pytest.raises(ValueError, match="names 'a' more than once"):
        listed_choice(["a", "b"], ["a", "a"], None, "a list")


def test_a_curation_gives_its_best_images_first(folders, tmp_path):
    names = ["5", "city/3@0,0", "3@64,0", "8"]
    pq.write_table(pa.table({"id": names}), tmp_path / "selection.parquet")
    assert curated_names(tmp_path, [str(index) for index in range(10)]) == ["5", "3", "8"]
    settings = data_settings(folders, labelled_choice="curated", labelled_list=str(tmp_path), labelled_count=2)
    assert load_data(settings, 0, False).labelled["id"] == ["3", "5"]
    with pytest.raises(FileNotFoundError, match=r"there is no .*nowhere/selection\.parquet"):
        curated_names(tmp_path / "nowhere", ["1"])


def test_the_random_choice_is_that_of_the_seed():
    assert random_choice(10, 4, 0) == random_choice(10, 4, 0) != random_choice(10, 4, 1)


def test_held_out_images_are_neither_learnt_from_nor_unlabelled(folders):
    data = load_data(data_settings(folders, validation_split="held_out", held_out_share=0.2), 0, True)
    parts = [set(part["id"]) for part in (data.labelled, data.unlabelled, data.validation)]
    assert [len(part) for part in parts] == [3, 5, 2] and len(set.union(*parts)) == 10
    assert parts[2] == {"8", "9"}
    assert data.validation_source == "2 of 10 labelled images, set aside (the last by name of each folder)"


def test_weights_are_not_chosen_on_images_whose_results_are_reported(folders):
    with pytest.raises(ValueError, match="results on the split 'test' of s5-image-mask are what one reports"):
        load_data(data_settings(folders, validation_split="test"), 0, False, chooses_weights=True)


def test_a_plain_folder_gives_unlabelled_images(folders):
    changes = {"unlabelled_dataset": DataSettings().unlabelled_dataset, "unlabelled_dir": str(folders / "archive")}
    data = load_data(data_settings(folders, **changes), 0, True)
    assert sorted(data.unlabelled["id"]) == ["deep/two", "one"]
    assert data.unlabelled[0]["image"].size == (8, 8)
