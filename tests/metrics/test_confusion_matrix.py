"""The confusion matrix and its scores, beside scikit-learn and by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from s5_hf.metrics import ConfusionMatrix
from s5_hf.metrics.segmentation_scores import class_table, mean_over_classes, summary

CLASSES = 5


def random_pair(seed, shape=(3, 17, 23), classes=CLASSES, ignored=0.2, ignore_index=255):
    generator = np.random.default_rng(seed)
    references = generator.integers(classes, size=shape)
    predictions = np.where(generator.random(shape) < 0.6, references, generator.integers(classes, size=shape))
    return predictions, np.where(generator.random(shape) < ignored, ignore_index, references)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 9), ignored=st.sampled_from([0.0, 0.3]))
def test_scores_are_those_of_scikit_learn(seed, classes, ignored):
    predictions, references = random_pair(seed, (40, 41), classes, ignored)
    matrix = ConfusionMatrix(classes)
    matrix.update(predictions, references)
    counted = references != 255
    truth, guess, ids = references[counted], predictions[counted], list(range(classes))
    np.testing.assert_array_equal(matrix.counts, sklearn_metrics.confusion_matrix(truth, guess, labels=ids))
    expected = {
        "mIoU": sklearn_metrics.jaccard_score(truth, guess, labels=ids, average="macro"),
        "mF1": sklearn_metrics.f1_score(truth, guess, labels=ids, average="macro"),
        "mAcc": sklearn_metrics.recall_score(truth, guess, labels=ids, average="macro"),
        "OA": sklearn_metrics.accuracy_score(truth, guess),
    }
    assert summary(matrix.counts) == pytest.approx(expected, abs=1e-12)
    table = class_table(matrix.counts, [f"class {index}" for index in ids])
    precision = sklearn_metrics.precision_score(truth, guess, labels=ids, average=None)
    assert [row["precision"] for row in table.values()] == pytest.approx(precision, abs=1e-12)


@pytest.mark.parametrize("classes", [14, 15, 16, 180, 181, 255, 256, 300])
def test_any_number_of_classes(classes):
    predictions, references = random_pair(2, (50, 60), classes, ignore_index=-1)
    matrix, expected = ConfusionMatrix(classes, -1), np.zeros((classes, classes), dtype=np.int64)
    matrix.update(predictions, references)
    counted = references != -1
    np.add.at(expected, (references[counted], predictions[counted]), 1)
    np.testing.assert_array_equal(matrix.counts, expected)


def test_left_out_classes_still_compete_for_pixels():
    matrix = ConfusionMatrix(3)
    matrix.update(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1, 2]))
    assert matrix.mean_iou() == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert matrix.mean_iou(left_out=[0]) == pytest.approx((1 / 2 + 1) / 2)
    assert matrix.mean_f1([0]) == pytest.approx((2 / 3 + 1) / 2)
    assert matrix.mean_accuracy([0]) == pytest.approx(1)
    assert matrix.overall_accuracy() == pytest.approx(3 / 4)


def test_classes_without_pixels_do_not_enter_the_mean():
    matrix = ConfusionMatrix(4)
    matrix.update(np.array([0, 1]), np.array([0, 0]))  # class 1 is only predicted, 2 and 3 not at all
    assert matrix.mean_iou() == pytest.approx((1 / 2 + 0) / 2)
    assert matrix.mean_accuracy() == pytest.approx(1 / 2)
    assert math.isnan(class_table(matrix.counts, "abcd")["c"]["IoU"])
    empty = ConfusionMatrix(2)
    assert math.isnan(empty.mean_iou()) and math.isnan(empty.overall_accuracy())


def test_parts_add_up_in_any_order():
    predictions, references = random_pair(0)
    whole = ConfusionMatrix(CLASSES)
    whole.update(predictions, references)
    parts = [ConfusionMatrix(CLASSES) for _ in range(3)]
    for part, predicted, labels in zip(parts, predictions, references, strict=True):
        part.update(torch.from_numpy(predicted), labels.astype(np.uint8))
    total = parts[2]
    total.merge(parts[0])
    total.merge(parts[1])
    assert torch.equal(total.counts, whole.counts)
    total.reset()
    assert total.counts.sum() == 0


def test_another_ignore_index_and_none():
    clutter = ConfusionMatrix(5, ignore_index=5)
    clutter.update(np.array([4, 255]), np.array([4, 5]))  # what is predicted under clutter does not matter
    assert clutter.counts.sum() == 1
    everything = ConfusionMatrix(2, ignore_index=None)
    with pytest.raises(ValueError, match=r"references hold the values \[255\], expected 0..1$"):
        everything.update(np.array([0]), np.array([255]))


@pytest.mark.parametrize("ignore_index", [-1, 3, 300])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_what_is_ignored_is_a_value_of_its_own(ignore_index, dtype):
    """44 is 300 in 8 bits, 255 is -1, and 3 is the row of ignored pixels of three classes."""
    matrix = ConfusionMatrix(3, ignore_index)
    matrix.update(np.array([1, 2], dtype), np.array([1, 1], dtype))
    assert matrix.counts[1].tolist() == [0, 1, 1] and matrix.counts.sum() == 2
    for wrong in {3, 44, 255} - {ignore_index}:
        with pytest.raises(ValueError, match=rf"references hold the values \[{wrong}\]"):
            matrix.update(np.array([1], dtype), np.array([wrong], dtype))


def test_maps_are_left_as_they_are():
    predictions, references = (torch.from_numpy(ids).int() for ids in random_pair(1))
    kept = predictions.clone(), references.clone()
    ConfusionMatrix(CLASSES).update(predictions, references)
    assert torch.equal(predictions, kept[0]) and torch.equal(references, kept[1])


def test_bad_input():
    matrix = ConfusionMatrix(3)
    with pytest.raises(ValueError, match=r"references hold the values \[7\], expected 0..2 or the ignore index 255"):
        matrix.update(np.array([0, 1]), np.array([0, 7]))
    with pytest.raises(ValueError, match=r"predictions hold the values \[-1, 3\]"):
        matrix.update(np.array([-1, 3]), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"shape \(2,\), but references have \(3,\)"):
        matrix.update(np.array([0, 1]), np.array([0, 1, 2]))
    with pytest.raises(TypeError, match="predictions must hold class ids"):
        matrix.update(np.array([0.5]), np.array([0]))
    assert matrix.counts.sum() == 0
    with pytest.raises(ValueError, match="2 classes cannot be added to 3"):
        matrix.merge(ConfusionMatrix(2))
    with pytest.raises(ValueError, match="ignore_index 2 is the id of a class"):
        ConfusionMatrix(3, ignore_index=2)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        ConfusionMatrix(0)
    with pytest.raises(ValueError, match=r"ids \[3\]"):
        matrix.mean_iou([3])
    with pytest.raises(ValueError, match="leaves no class"):
        mean_over_classes(torch.ones(2), [0, 1])
    with pytest.raises(ValueError, match="2 labels for 3 classes: a, b"):
        class_table(matrix.counts, ["a", "b"])
