"""The health of pseudo-labels: warnings, and the page of a run."""

import json
import math
import shutil
import warnings

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from s5_hf.training.checkpointing.checkpoints import checkpoint_folders, read_description
from s5_hf.training.pretraining.class_shares import shares_of_classes
from s5_hf.training.pretraining.health_report import CURVES, POINTS, curve, per_class, written
from s5_hf.training.pretraining.pseudo_label_health import PseudoLabelHealth
from s5_hf.training.run_folder import read_log
from s5_hf.training.validation import ValidationSettings, validate
from tests.training.pretraining import pretrain

EVEN = [0.5, 0.5]


def watched(steps=200, labels=("land", "water")):
    return PseudoLabelHealth(labels, steps)


@pytest.mark.parametrize(
    ("steps", "window", "patience"), [(40, 10, 10), (200, 10, 40), (1000, 50, 200), (10**5, 100, 1000)]
)
def test_patience_follows_the_length_of_the_run(steps, window, patience):
    health = watched(steps)
    assert (health.window, health.patience) == (window, patience)


def test_collapse_and_takeover_are_warned_about_once():
    health, found = watched(), []
    for _ in range(10):
        assert health.see(0, 0.5, EVEN) == []
    with pytest.warns(RuntimeWarning):
        for step in range(10, 40):
            found += health.see(step, 0.001, [0.0, 1.0])
    assert len(found) == 2
    assert "the class 'water' has taken over 100% of the confident pseudo-labels" in found
    assert any("mask ratio has collapsed: 0.10%" in text and "at best it was 50.00%" in text for text in found)
    assert health.warned.keys() == {"class", "mask ratio"}


def fed(labelled, pseudo, labels=("land", "water"), steps=40, total=200):
    """A health that has seen so many steps of these shares, and the warnings that it gave."""
    health, found = watched(total, labels), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(steps):
            health.see_labelled(labelled)
            found += health.see(step, 0.5, pseudo)
    return health, found


def test_a_class_that_suppresses_what_the_labels_show_is_warned_about_with_both_numbers():
    _, found = fed([0.61, 0.39], [0.15, 0.85])
    assert found == [
        "the class 'water' has taken over 85% of the confident pseudo-labels; of the labelled pixels it has 39%"
    ]


@pytest.mark.parametrize(
    ("labelled", "pseudo"),
    [
        ([0.22, 0.78], [0.72, 0.28]),  # another mixture than the labels, no class has four fifths
        ([0.1, 0.9], [0.04, 0.96]),  # most is water in the labels, too
        ([0.0, 1.0], [0.0, 1.0]),
        ([0.2, 0.3], [0.22, 0.78]),  # half of the labelled pixels are ignored
    ],
)
def test_a_class_that_is_common_among_the_labels_has_not_taken_over(labelled, pseudo):
    assert fed(labelled, pseudo)[1] == []


def test_the_labels_count_from_the_first_step_on_and_the_pseudo_labels_after_patience():
    assert fed([0.6, 0.4], [0.1, 0.9], steps=39)[1] == []
    assert len(fed([0.6, 0.4], [0.1, 0.9], steps=40)[1]) == 1
    health = watched()
    for _ in range(40):
        health.see_labelled([0.6, 0.4])  # a supervised phase
        health.see_labelled([0.2, 0.8])
    assert [share / sum(health.labelled) for share in health.labelled] == pytest.approx([0.4, 0.6])


@given(
    shares=st.lists(st.floats(0.01, 1), min_size=2, max_size=5),
    factor=st.floats(0.1, 10),
)
def test_pseudo_labels_like_the_labels_are_never_warned_about(shares, factor):
    parts = [share / sum(shares) for share in shares]
    labels = [str(number) for number in range(len(parts))]
    assert fed([factor * part for part in parts], parts, labels)[1] == []


def test_what_was_seen_survives_being_written_as_json():
    whole, parts = watched(), watched()
    with pytest.warns(RuntimeWarning):
        for step in range(60):
            if step == 33:
                state = json.loads(json.dumps(parts.state()))
                parts = watched()
                parts.load_state(state)
            for health in (whole, parts):
                health.see_labelled([0.7, 0.1])
                health.see(step, 0.3 + 0.3 / (step + 1), [0.1 / (1 + step), 0.9], 0.9, step / 100)
    assert parts.state() == whole.state() and parts.warned == whole.warned and whole.warned.keys() == {"class"}


def test_a_resumed_run_has_counted_the_same_labelled_pixels(tmp_path):
    options = ("--total_steps", "6", "--checkpoint_steps", "3", "--validation_steps", "0")
    pretrain(tmp_path / "whole", *options, "--unlabelled_from_step", "2")
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    found = observed(tmp_path / "whole")
    shutil.rmtree(checkpoint_folders(tmp_path / "parts" / "checkpoints")[-1])
    pretrain(tmp_path / "parts", *options, "--unlabelled_from_step", "2", "--resume", "auto")
    assert observed(tmp_path / "parts") == found
    assert 2.5 < sum(found[0]["labelled"]) <= 3 and 5 < sum(found[1]["labelled"]) <= 6  # a few pixels are padding
    assert found[0]["seen"] == 1 and found[1]["seen"] == 4
    log = read_log(tmp_path / "whole")
    for number, label in enumerate(("red", "green", "blue")):
        logged = [entry[f"labelled_share/{label}"] for entry in log if f"labelled_share/{label}" in entry]
        assert len(logged) == 6 and sum(logged) == pytest.approx(found[1]["labelled"][number])


def test_shares_of_classes_leave_ignored_pixels_out():
    labels = torch.tensor([[[0, 1, 1, 255], [2, 1, 255, 0]]])
    assert shares_of_classes(labels, 3).tolist() == [2 / 8, 3 / 8, 1 / 8]
    assert shares_of_classes(torch.full((1, 2, 2), 255), 3).tolist() == [0, 0, 0]


def observed(run):
    """What the checkpoints of a run hold of the health of its pseudo-labels."""
    return [read_description(folder)["observations"]["health"] for folder in checkpoint_folders(run / "checkpoints")]


def test_a_low_mask_ratio_is_normal_at_first():
    health = watched()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(39):
            health.see(step, 0.002, EVEN)
    with pytest.warns(RuntimeWarning, match=r"step 39: the mask ratio has collapsed: 0\.20%"):
        health.see(39, 0.002, EVEN)


def test_a_threshold_that_admits_nothing_is_warned_about_with_the_number():
    health = watched()
    with pytest.warns(RuntimeWarning) as caught:
        for step in range(60):
            health.see(step, 0.0, [0.0, 0.0], 0.95, 0.6 + step / 1000)
    assert [str(warning.message) for warning in caught] == [
        "step 39: in 40 steps not one unlabelled pixel counted: nothing is learnt from unlabelled images. "
        "The threshold is 0.95, the highest confidence was 0.639"
    ]


def test_a_starved_class_is_named_whatever_the_accuracy():
    health = watched()
    scores = {"confident_accuracy": 0.93, "confident_recall/land": 0.8, "confident_recall/water": 0.0}
    assert health.see_validation(5, scores) == [], "too early"
    for step in range(40):
        health.see(step, 0.5, EVEN)
    with pytest.warns(RuntimeWarning, match=r"93% of the confident .* not one pixel of water gets"):
        health.see_validation(40, scores)
    assert watched().see_validation(1, {**scores, "confident_recall/water": math.nan}) == []


class Sure(torch.nn.Module):
    """Predicts class 0 with confidence 0.9 where the image is black, class 1 with 0.6 elsewhere."""

    def forward(self, pixels):
        bright = pixels[:, 0] > 0
        odds = torch.where(bright, torch.tensor(0.6), torch.tensor(0.9))
        logits = torch.stack(
            [torch.log(torch.where(bright, 1 - odds, odds)), torch.log(torch.where(bright, odds, 1 - odds))], 1
        )
        return type("Output", (), {"logits": logits})()


def test_validation_counts_pseudo_labels_per_true_class():
    image = np.zeros((4, 4, 3), np.uint8)
    image[2:] = 255
    mask = np.zeros((4, 4), np.uint8)
    mask[1:] = 1  # rows: right black, wrong black, right bright twice
    for threshold, recalls in ((0.8, [1.0, 0.0]), (torch.tensor([0.95, 0.5]), [0.0, 2 / 3])):
        settings = ValidationSettings(("a", "b"), 255, (), threshold, (0.5,) * 3, (0.5,) * 3, ((0, 0, 0), (1, 1, 1)))
        scores = validate(Sure(), [{"image": image, "mask": mask}], settings, Accelerator(cpu=True))
        assert [scores[f"confident_recall/{label}"] for label in "ab"] == pytest.approx(recalls)
    assert scores["confident_precision/b"] == 1 and math.isnan(scores["confident_precision/a"])


def test_the_page_of_a_run(tmp_path):
    with pytest.warns(RuntimeWarning, match="in 10 steps not one unlabelled pixel counted"):
        pretrain(tmp_path, "--total_steps", "12", "--confidence_threshold", "1", "--validation_steps", "6")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for part in (
        *("recall of pseudo-labels per true class", "share of a class among those that count", "agreement"),
        *("class drift", "Classes at step 12", '<td class="n">12 of 12</td>', "labelled images"),
        *("<li>step 9: in 10 steps", "The threshold is 1, the highest confidence was 0."),
    ):
        assert part in text, part
    assert json.loads((tmp_path / "warnings.json").read_text(encoding="utf-8"))["admission"][0] == 9
    assert "<script" not in text and "http" not in text


def test_a_supervised_run_has_a_page_too(tmp_path):
    pretrain(tmp_path, "--method", "supervised", "--total_steps", "2", "--validation_steps", "0")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No warnings so far" in text and "mIoU, percent" in text and "mask ratio" not in text.split("<h2>")[2]


def test_where_every_pixel_counts_no_class_is_called_starved_for_its_confidence(tmp_path):
    pretrain(tmp_path, "--threshold", "rank", "--total_steps", "2", "--validation_steps", "0")
    values = next(entry for entry in read_log(tmp_path) if "validation/miou" in entry)
    assert values["validation/confident_share"] == 1
    assert '<td class="n">none</td>' in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_long_curves_are_thinned_by_averaging():
    log = [{"step": step, "value": float(step)} for step in range(1000)] + [{"step": 1000, "value": None}]
    points = curve(log, "value")
    assert len(points) <= POINTS and points[0] == (3.0, 3.0)
    assert curve(log, "other") == []


def test_many_classes_make_several_charts():
    labels = [f"class {number}" for number in range(8)]
    log = [{"step": step, **{f"x/{label}": 0.5 for label in labels}} for step in (1, 2)]
    charts = per_class(log, labels, "x/{}", "shares")
    assert len(charts) == 2 and charts[0].count("<polyline") == CURVES and charts[1].count("<polyline") == 2
    assert written({"a": 0.25}, "a", "recall") == "25.0" and written({}, "a", "iou") == "-"
