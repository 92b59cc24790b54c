"""The module of `evaluate`: loaded from the package, counting as images come."""

import socket

import evaluate
import numpy as np
import pytest
import torch

import s5_hf.metrics.segmentation_metrics as module
from s5_hf.metrics import ConfusionMatrix, SegmentationCounts, SegmentationMetrics
from tests.metrics.test_confusion_matrix import random_pair

LABELS = ("a", "b", "c", "d", "e")


def test_loads_from_the_package_without_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    metrics = evaluate.load(module.__file__, labels=LABELS, left_out=["a"], boundary=True)
    assert type(metrics).__module__.startswith("evaluate_modules.")
    predictions, references = random_pair(1)
    scores = metrics.compute(predictions=predictions, references=references)
    matrix = ConfusionMatrix(5)
    matrix.update(predictions, references)
    assert scores["mIoU"] == matrix.mean_iou([0])
    assert scores["left_out"] == ["a"]
    assert scores["confusion_matrix"] == matrix.counts.tolist()
    assert 0 < scores["boundary_mIoU"] < 1
    assert set(scores["per_class"]["b"]) == {"IoU", "F1", "precision", "recall", "share", "boundary_IoU"}


def test_images_of_any_size_in_any_form():
    metrics = SegmentationMetrics(labels=LABELS)
    metrics.add(prediction=[[0, 1], [2, 3]], reference=[[0, 1], [2, 4]])
    metrics.add_batch(
        predictions=[torch.zeros(1, 3, dtype=torch.int64), np.ones((2, 1), dtype=np.uint8)],
        references=[torch.zeros(1, 3, dtype=torch.uint8), np.full((2, 1), 255)],
    )
    scores = metrics.compute()
    assert scores["OA"] == pytest.approx(6 / 7)
    assert "boundary_mIoU" not in scores
    again = metrics.compute(predictions=[[[0]]], references=[[[0]]])  # compute has begun anew
    assert again["confusion_matrix"][0][0] == 1 and np.sum(again["confusion_matrix"]) == 1


def test_conventions_of_the_datasets():
    isaid = SegmentationMetrics.for_dataset("s5-isaid")
    assert isaid.counts.left_out == (0,) and len(isaid.counts.labels) == 16
    potsdam = SegmentationMetrics.for_dataset("s5-potsdam")
    potsdam.add(prediction=[[4, 0]], reference=[[4, 5]])  # clutter is 5
    assert potsdam.compute()["OA"] == 1
    with pytest.raises(ValueError, match="s5-image-mask has no masks of known classes"):
        SegmentationMetrics.for_dataset("s5-image-mask")
    with pytest.raises(KeyError, match="unknown dataset 'isaid'"):
        SegmentationMetrics.for_dataset("isaid")


def test_bad_input():
    metrics = SegmentationMetrics(labels=LABELS)
    with pytest.raises(ValueError, match="2 predictions for 1 references"):
        metrics.compute(predictions=[[[0]], [[0]]], references=[[[0]]])
    with pytest.raises(ValueError, match="expected predictions and references, got predictions, references, scores"):
        metrics.add_batch(predictions=[[[0]]], references=[[[0]]], scores=[1])
    with pytest.raises(ValueError, match=r"expected prediction and reference, got prediction$"):
        metrics.add(prediction=[[0]])
    with pytest.raises(ValueError, match="num_process is not used"):
        SegmentationMetrics(labels=LABELS, num_process=2)
    with pytest.raises(ValueError, match="left_out names x; the classes: a, b"):
        SegmentationCounts(("a", "b"), left_out=["x"])
    with pytest.raises(ValueError, match="leaves no class"):
        SegmentationCounts(("a", "b"), left_out=["b", "a"])
