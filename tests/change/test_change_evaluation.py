"""Scores of searches on labelled pairs: right counts, also shared among processes, and data that does not fit."""

import json

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from s5_hf.change import ChangeTask, MaskCompareIdentify, evaluate_changes
from s5_hf.change.evaluation import count_changes
from tests.change.parts import Colors, RedRegions, Roofs, pair

SEARCH = MaskCompareIdentify(RedRegions(), Colors(), Roofs())


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def pairs(own_cache, tmp_path):
    """Three pairs; in the mask of the first a roof of 8 x 6 pixels is missing, and 30 pixels are to be ignored."""
    for number in range(3):
        before, after, truth = pair(side=32, boxes=((4, 4, 12, 10), (20, 18, 30, 28)), seed=number)
        mask = truth.astype(np.uint8)
        if number == 0:
            mask[:16, :16] = 0
            mask[18:21, 20:30] = 255
        for name, pixels in (("before", before), ("after", after), ("mask", mask)):
            write(tmp_path / f"val/{name}/{number}.png", pixels)
    return ChangeTask("s5-image-pair-mask", str(tmp_path), options={"classes": ["unchanged", "roof"]})


def test_counts_and_scores_of_changed_pixels(pairs, tmp_path):
    scores = evaluate_changes(SEARCH, pairs, Accelerator(cpu=True), "reds")
    right, invented = 2 * (48 + 100) + 70, 48
    total = 3 * 32 * 32 - 30
    assert scores.counts.tolist() == [[total - right - invented, invented], [0, right]]
    assert (scores.images, scores.objects) == (3, 6)
    assert scores.scores["IoU"] == pytest.approx(100 * right / (right + invented))
    assert scores.scores["recall"] == 100
    scores.write(tmp_path / "out")
    written = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert written["F1"] == scores.scores["F1"] and written["search"] == "reds"
    assert f"F1 {written['F1']:.2f}" in (tmp_path / "out/results.md").read_text(encoding="utf-8")


def test_the_counts_of_processes_add_up(pairs):
    samples = pairs.samples()
    whole, objects = count_changes(SEARCH, pairs, samples)
    parts = [count_changes(SEARCH, pairs, samples, rank, 2, show_progress=False) for rank in range(2)]
    assert torch.equal(sum(counts.counts for counts, _ in parts), whole.counts)
    assert sum(found for _, found in parts) == objects == 6


def test_a_class_of_second_changed_where_it_is_that_of_either_date(own_cache, tmp_path):
    before, after, truth = pair(side=32, boxes=((4, 4, 12, 10),))
    for name, pixels in (("im1", before), ("im2", after), ("label1", truth * 3), ("label2", truth * 5)):
        write(tmp_path / f"test/{name}/a.png", pixels.astype(np.uint8))
    counts = {}
    for target in ("building", "low vegetation", "water"):
        task = ChangeTask("s5-second", str(tmp_path), target=target)
        counts[target] = evaluate_changes(SEARCH, task, Accelerator(cpu=True)).counts.tolist()
    assert counts["building"] == counts["low vegetation"] == [[1024 - 48, 0], [0, 48]]
    assert counts["water"] == [[1024 - 48, 48], [0, 0]]


def test_what_does_not_fit_is_refused(pairs, own_cache, tmp_path):
    with pytest.raises(ValueError, match=r"s5-second has the classes water, .*, playground; name one .* got none"):
        ChangeTask("s5-second", "x")
    with pytest.raises(ValueError, match="name one of them as the target, got roof"):
        ChangeTask("s5-levir-cd", "x", target="roof")
    with pytest.raises(ValueError, match="s5-loveda is a dataset for segmentation"):
        ChangeTask("s5-loveda", "x")
    write(tmp_path / "bare/val/before/a.png", np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(FileNotFoundError):
        ChangeTask("s5-image-pair-mask", str(tmp_path / "bare")).samples()
    for date in ("before", "after"):
        write(tmp_path / f"unlabelled/test/{date}/a.png", np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"the split 'test' of s5-image-pair-mask at .* has no masks"):
        ChangeTask("s5-image-pair-mask", str(tmp_path / "unlabelled"), split="test").samples()
    search = MaskCompareIdentify(RedRegions(), Colors(), Roofs(("background", "roof", "pond")))
    with pytest.raises(ValueError, match="the search has no class 'tree' but roof, pond"):
        count_changes(search, ChangeTask("s5-second", "x", target="tree"), [])
