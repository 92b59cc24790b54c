"""gIoU, cIoU and P@t: the official numbers, counts that add up, and what is refused."""

import json
from pathlib import Path

import evaluate
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import s5_hf.metrics.reasoning_metrics as module
from s5_hf.metrics import PixelReasoningMetrics, ReasoningCounts

FIXTURES = Path(__file__).parents[1] / "parity" / "reasoning"


def test_the_official_scores():
    expected = json.loads((FIXTURES / "segearth-r1-data.json").read_text(encoding="utf-8"))["metrics"]
    with np.load(FIXTURES / "segearth-r1-data.npz") as content:
        predictions, references = content["metric_pred"], content["metric_truth"]
    metrics = evaluate.load(module.__file__)
    scores = metrics.compute(predictions=list(predictions), references=list(references))
    assert scores["gIoU"] == pytest.approx(expected["giou"], rel=1e-6)
    assert scores["cIoU"] == pytest.approx(expected["ciou"], rel=1e-6)
    assert {name.removeprefix("P@"): score for name, score in scores.items() if name.startswith("P@")} == (
        pytest.approx(expected["precision"])
    )


@given(st.lists(st.tuples(st.integers(0, 2**12), st.integers(0, 2**12)), min_size=1, max_size=6), st.integers(0, 6))
def test_counts_of_parts_add_up(pairs, cut):
    masks = [tuple((np.arange(12) & number) > 0 for number in pair) for pair in pairs]
    parts = [ReasoningCounts(), ReasoningCounts()]
    whole = ReasoningCounts()
    for index, (prediction, reference) in enumerate(masks):
        for counts in (whole, parts[index >= cut]):
            counts.update(prediction.reshape(3, 4), reference.reshape(3, 4))
    assert torch.allclose(parts[0].totals + parts[1].totals, whole.totals)
    scores = whole.scores()
    assert 0 <= scores["P@0.9"] <= scores["P@0.5"] <= 1 and 0 <= scores["gIoU"] <= 1


def test_nothing_to_find_and_nothing_found_is_right():
    counts = ReasoningCounts()
    assert counts.update(np.zeros((2, 2)), torch.zeros(2, 2)) == 1
    assert counts.update([[1, 0]], [[0, 1]]) == 0
    assert counts.scores()["gIoU"] == 0.5
    counts.reset()
    assert np.isnan(counts.scores()["gIoU"])


def test_what_is_no_mask_is_refused():
    metrics = PixelReasoningMetrics()
    with pytest.raises(ValueError, match=r"prediction of \(2, 2\) pixels"):
        metrics.add(prediction=np.zeros((2, 2)), reference=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="prediction holds other values"):
        metrics.add(prediction=np.full((2, 2), 255), reference=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"reference has the shape \(4,\)"):
        metrics.add(prediction=np.zeros((2, 2)), reference=np.zeros(4))
