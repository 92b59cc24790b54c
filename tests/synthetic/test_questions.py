"""Questions about made-up scenes: their masks say what the words say."""

import csv

import numpy as np
import pytest
from datasets import load_dataset

from s5_hf.synthetic import SCENE_LABELS, scene_questions, synthetic_scene, write_synthetic_questions
from s5_hf.synthetic.questions import roof_questions

ROOF, WATER = SCENE_LABELS.index("building"), SCENE_LABELS.index("water")


@pytest.fixture(scope="module")
def scene():
    return synthetic_scene(256, seed=11)


def test_answers_are_parts_of_their_classes(scene):
    by_question = {one.question: one for one in scene_questions(scene)}
    assert np.array_equal(by_question["where could a boat float?"].mask, scene.mask == WATER)
    for one in by_question.values():
        assert one.mask.mean() >= 0.01 and one.mask.dtype == bool and one.answer
    by_question |= {one.question: one for one in roof_questions(scene)}  # also small ones
    north = by_question["the roofs north of the water"].mask
    middle = np.nonzero(scene.mask == WATER)[0].mean()
    assert (scene.mask[north] == ROOF).all()
    south = by_question["the roofs south of the water"].mask
    assert np.nonzero(north)[0].mean() < middle < np.nonzero(south)[0].mean()
    assert (north | south).sum() >= 0.9 * (scene.mask == ROOF).sum() and not (north & south).any()
    red = scene.image[by_question["the red roofs"].mask].mean(axis=0)
    assert red[0] > 1.35 * red[1]
    half = by_question["the fields in the west of the picture"].mask
    assert half[:, :128].any() and not half[:, 128:].any()


def test_they_are_written_as_a_dataset(tmp_path):
    kept_back = {"the fields", "the trees"}
    for split, seed, wanted in (("train", 0, lambda words: words not in kept_back), ("val", 7, None)):
        write_synthetic_questions(tmp_path, 2, size=64, seed=seed, per_scene=3, split=split, wanted=wanted)
    write_synthetic_questions(tmp_path, 2, size=64, split="test", wanted=kept_back.__contains__)
    asked = {}
    for split in ("train", "test"):
        with (tmp_path / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            asked[split] = {row["question"] for row in csv.DictReader(file)}
    assert asked["test"] and asked["test"] <= kept_back and not asked["train"] & kept_back
    loaded = load_dataset("s5-image-question-mask", data_dir=str(tmp_path), split="val", streaming=True)
    rows = list(loaded)
    with (tmp_path / "val.csv").open(encoding="utf-8", newline="") as file:
        assert [row["question"] for row in csv.DictReader(file)] == [row["question"] for row in rows]
    assert len(rows) == 6 and rows[0]["image"].size == (64, 64)
    mask = np.asarray(rows[0]["mask"])
    assert set(np.unique(mask)) == {0, 1} and mask.mean() >= 0.01
    with pytest.raises(FileExistsError, match=r"val\.csv exists already"):
        write_synthetic_questions(tmp_path, 1, split="val")
