"""Scores of changes against sums over single pixels, written from the definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from s5_hf.metrics import ConfusionMatrix, change_f1, change_iou, class_change, semantic_change_scores

LABELS = arrays(np.int64, (2, 30), elements=st.integers(0, 3))


def matrix(predictions, references):
    counts = ConfusionMatrix(4)
    for predicted, expected in zip(predictions, references, strict=True):  # one map for each date
        counts.update(torch.as_tensor(predicted), torch.as_tensor(expected))
    return counts.counts


def by_pixels(predictions, references):
    """mIoU, SeK and Fscd from lists of pixels."""
    pairs = [(int(p), int(r)) for p, r in zip(np.ravel(predictions), np.ravel(references), strict=True)]
    both = sum(p > 0 and r > 0 for p, r in pairs)
    changed = both / sum(p > 0 or r > 0 for p, r in pairs)
    unchanged = sum(p == r == 0 for p, r in pairs) / sum(p == 0 or r == 0 for p, r in pairs)
    kept = [(p, r) for p, r in pairs if (p, r) != (0, 0)]
    agreed = sum(p == r for p, r in kept) / len(kept)
    chance = sum(sum(p == c for p, _ in kept) * sum(r == c for _, r in kept) / len(kept) ** 2 for c in range(4))
    hits = sum(p == r > 0 for p, r in pairs)
    precision, recall = hits / sum(p > 0 for p, _ in pairs), hits / sum(r > 0 for _, r in pairs)
    return {
        "miou": (changed + unchanged) / 2,
        "sek": (agreed - chance) / (1 - chance) * math.exp(changed - 1),
        "fscd": 2 * precision * recall / (precision + recall),
    }


@settings(max_examples=60, deadline=None)
@given(LABELS, LABELS)
def test_scores_are_those_of_the_definitions(predictions, references):
    found = semantic_change_scores(matrix(predictions, references))
    try:
        expected = by_pixels(predictions, references)
    except ZeroDivisionError:
        assert any(math.isnan(value) for value in found.values())
        return
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12)
    assert found["score"] == pytest.approx(0.3 * expected["miou"] + 0.7 * expected["sek"], abs=1e-12)


def test_changed_pixels_are_counted_whatever_their_class():
    counts = matrix([[1, 2, 0, 0], [0, 1, 0, 3]], [[2, 2, 0, 1], [0, 0, 0, 3]])
    assert change_iou(counts) == pytest.approx(3 / 5)
    assert change_f1(counts) == pytest.approx(6 / 8)
    assert math.isnan(change_iou(matrix([[0, 0], [0, 0]], [[0, 0], [0, 0]])))


def test_a_perfect_map_has_the_best_scores():
    labels = [[0, 1, 2, 3, 0], [0, 2, 1, 3, 0]]
    assert semantic_change_scores(matrix(labels, labels)) == pytest.approx(
        {"miou": 1.0, "sek": 1.0, "score": 1.0, "fscd": 1.0}
    )


def test_counts_of_two_processes_add_up():
    rng = np.random.default_rng(0)
    predictions, references = rng.integers(0, 4, (2, 4, 30)), rng.integers(0, 4, (2, 4, 30))
    whole = matrix(np.concatenate(predictions), np.concatenate(references))
    parts = sum(matrix(predicted, expected) for predicted, expected in zip(predictions, references, strict=True))
    assert semantic_change_scores(whole) == semantic_change_scores(parts)


def test_where_a_class_came_or_went():
    before, after = torch.tensor([0, 1, 2, 2]), torch.tensor([0, 2, 1, 3])
    assert class_change(before, after, 1).tolist() == [False, True, True, False]
    with pytest.raises(ValueError, match="is no change"):
        class_change(before, after, 0)
    with pytest.raises(ValueError, match=r"\(4,\) and \(3,\)"):
        class_change(before, after[:3], 1)
