"""Scores have one unit, percent, wherever they are logged, kept or reported."""

import json
import math

import pytest

from s5_hf.metrics.percent import in_percent
from s5_hf.training.detection.data import DetectionTaskData
from s5_hf.training.detection.validation import summarise
from s5_hf.training.joint.best_models import BestModels


def test_shares_become_percent_and_counts_stay():
    scores = {"mIoU": 0.25, "per_class": {"a": {"IoU": 0.5, "references": 3}}, "matrix": [[1, 2]], "left_out": ["b"]}
    expected = {
        "mIoU": 25.0,
        "per_class": {"a": {"IoU": 50.0, "references": 3}},
        "matrix": [[1, 2]],
        "left_out": ["b"],
    }
    assert in_percent(scores) == expected
    assert math.isnan(in_percent({"mIoU": math.nan})["mIoU"])


def test_validation_of_a_detector_logs_percent():
    scores = {"map_50": 0.125, "per_class": {"car": {"ap_50": 0.125, "references": 4}}}
    sample = {"image": None}
    task = DetectionTaskData("cars", ("car",), [sample], None, "none", voc07=False)
    assert summarise(scores, task) == {"map50": 12.5, "ap50/car": 12.5, "objects/car": 4.0}


def test_the_best_models_of_an_older_run_are_compared_in_percent(tmp_path):
    """Runs of release 0.1.0 left shares."""
    best = BestModels(tmp_path / "best", None, {})
    for name, record in {"old": {"best": 0.5}, "new": {"best": 50.0, "unit": "percent"}}.items():
        (tmp_path / "best" / name).mkdir(parents=True)
        (tmp_path / "best" / name / "scores.json").write_text(json.dumps(record), encoding="utf-8")
        assert best.best_score(name) == pytest.approx(50)
        assert best.improved({name: 49.9}) == [] and best.improved({name: 50.1}) == [name]
    assert best.improved({"other": 0.0, "none": math.nan}) == ["other"]
    assert best.best_score("other") == -math.inf
