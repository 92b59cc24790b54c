"""Oriented average precision against a slow shapely reference and hand-made cases."""

import math
import pickle
from pathlib import Path

import evaluate
import numpy as np
import pytest
import torch

import s5_hf.metrics
from s5_hf.metrics import OrientedAveragePrecision
from s5_hf.metrics.average_precision import (
    PrecisionRecall,
    area_average_precision,
    eleven_point_average_precision,
    match_detections,
)
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_corners

LABELS = ["plane", "ship", "dam"]
THRESHOLDS = (0.5, 0.75, 0.9)


def random_image(seed: int) -> tuple[dict, dict]:
    """References of two of the three classes, and detections near them, of the wrong class, or anywhere."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(0, 12))
    boxes = generator.uniform([20, 20, 10, 10, -1.5], [200, 200, 50, 30, 1.5], (count, 5))
    labels = generator.integers(0, 2, count)
    chosen = generator.integers(0, max(count, 1), 25 if count else 0)
    noise = generator.normal(0, [2, 2, 2, 2, 0.05], (len(chosen), 5)) * generator.uniform(0, 2, (len(chosen), 1))
    found = boxes[chosen] + noise
    found[:, 2:4] = found[:, 2:4].clip(1)
    anywhere = generator.uniform([20, 20, 10, 10, -1.5], [200, 200, 50, 30, 1.5], (6, 5))
    found_labels = np.where(generator.random(len(chosen)) < 0.9, labels[chosen], 1 - labels[chosen])
    predictions = {
        "boxes": torch.from_numpy(np.concatenate([found, anywhere])),
        "scores": torch.from_numpy(generator.random(len(chosen) + 6).round(2)),  # some are equal
        "labels": torch.from_numpy(np.concatenate([found_labels, generator.integers(0, 3, 6)])),
    }
    return predictions, {"boxes": boxes, "labels": labels, "difficult": generator.random(count) < 0.2}


def slow_average_precision(images: list[tuple[dict, dict]], label: int, threshold: float) -> tuple[float, float]:
    """Area and 11-point AP, one detection after the other, with shapely's polygons."""
    shapely = pytest.importorskip("shapely", reason="compares with shapely, which is not installed")
    detections, total = [], 0
    for image, (predictions, references) in enumerate(images):
        total += sum(
            1
            for other, difficult in zip(references["labels"], references["difficult"], strict=True)
            if other == label and not difficult
        )
        detections += [
            (-float(score), image, index)
            for index, score in enumerate(predictions["scores"])
            if predictions["labels"][index] == label
        ]
    if total == 0:
        return math.nan, math.nan
    taken, right, shown, curve = set(), 0, 0, []
    for _, image, index in sorted(detections):
        predictions, references = images[image]
        polygon = shapely.Polygon(oriented_boxes_to_corners(predictions["boxes"][index]).numpy())
        best, nearest = 0.0, None
        for other in np.flatnonzero(references["labels"] == label):
            wanted = shapely.Polygon(oriented_boxes_to_corners(torch.from_numpy(references["boxes"][other])).numpy())
            shared = polygon.intersection(wanted).area
            overlap = shared / (polygon.area + wanted.area - shared)
            if overlap > best:
                best, nearest = overlap, other
        if best >= threshold and references["difficult"][nearest]:
            continue
        shown += 1
        if best >= threshold and (image, nearest) not in taken:
            taken.add((image, nearest))
            right += 1
        curve.append((right / total, right / shown))
    area = sum(
        (recall - previous) * max(precision for later, precision in curve if later >= recall)
        for (recall, _), (previous, _) in zip(curve, [(0.0, 0.0), *curve], strict=False)
    )
    eleven = sum(max([p for r, p in curve if r >= tenth / 10 - 1e-9], default=0.0) for tenth in range(11)) / 11
    return area, eleven


def test_equals_a_slow_reference() -> None:
    images = [random_image(seed) for seed in range(8)]
    metric = OrientedAveragePrecision(LABELS, THRESHOLDS)
    for index, (predictions, references) in enumerate(images):
        metric.add_image(f"{index}", predictions, references)
    assert len(metric) == 8
    results = metric.compute()

    expected = np.array(
        [[slow_average_precision(images, label, threshold) for label in range(3)] for threshold in THRESHOLDS]
    )
    assert np.isnan(expected[:, 2]).all()  # no dam is anywhere
    assert 0.05 < expected[0, 0, 0] < 0.95
    np.testing.assert_allclose([results["map"], results["map_voc07"]], expected[:, :2].mean(axis=(0, 1)))
    np.testing.assert_allclose([results["map_50"], results["map_50_voc07"]], expected[0, :2].mean(axis=0))
    for row, threshold in enumerate(THRESHOLDS):
        found = results["per_threshold"][threshold]
        np.testing.assert_allclose([found["map"], found["map_voc07"]], expected[row, :2].mean(axis=0))
    for label, name in enumerate(LABELS):
        found = results["per_class"][name]
        np.testing.assert_allclose([found["ap"], found["ap_voc07"]], expected[:, label].mean(axis=0))
        np.testing.assert_allclose([found["ap_50"], found["ap_50_voc07"]], expected[0, label])
    assert results["per_class"]["dam"]["references"] == 0
    assert results["per_class"]["dam"]["detections"] > 0


def test_the_division_over_processes_does_not_show() -> None:
    images = [random_image(seed) for seed in range(9)]

    def metric_of(indices: list[int]) -> OrientedAveragePrecision:
        metric = OrientedAveragePrecision(LABELS, THRESHOLDS)
        for index in indices:
            metric.add_image(f"{index}", *images[index])
        return metric

    expected = metric_of(list(range(9))).compute()
    # Three processes; a sampler has padded the last two with images of the first.
    parts = [metric_of([0, 3, 6, 8]), metric_of([1, 4, 7, 0]), metric_of([5, 2, 3])]
    states = pickle.loads(pickle.dumps([part.state() for part in parts]))
    merged = OrientedAveragePrecision(LABELS, THRESHOLDS)
    merged.merge(states)
    assert len(merged) == 9
    np.testing.assert_equal(merged.compute(), expected)


def test_interface_of_evaluate() -> None:
    images = [random_image(seed) for seed in range(4)]
    predictions, references = zip(*images, strict=True)
    path = Path(s5_hf.metrics.__path__[0]) / "oriented_average_precision.py"
    loaded = evaluate.load(str(path), labels=LABELS, iou_thresholds=THRESHOLDS)
    expected = loaded.compute(predictions=predictions, references=references)
    assert expected["map_50"] > 0
    assert len(loaded) == 0  # computing starts afresh

    metric = OrientedAveragePrecision(LABELS, THRESHOLDS)
    metric.add(prediction=predictions[0], reference=references[0])
    metric.add_batch(predictions=predictions[1:3], references=references[1:3])
    np.testing.assert_equal(metric.compute(predictions=predictions[3:], references=references[3:]), expected)

    # Lists, and the model's name of the references' labels, are read alike.
    for prediction, reference in images:
        reference = {
            "boxes": reference["boxes"].tolist(),
            "class_labels": reference["labels"].tolist(),
            "difficult": reference["difficult"].tolist(),
        }
        metric.add(prediction={part: values.tolist() for part, values in prediction.items()}, reference=reference)
    np.testing.assert_equal(metric.compute(), expected)


BOX = [50.0, 50, 20, 10, 0.3]
FAR = [150.0, 50, 20, 10, 0.3]


@pytest.mark.parametrize(
    ("found", "wanted", "difficult", "area", "eleven"),
    [
        ([(BOX, 0.9)], [BOX], [False], 1, 1),
        ([(BOX, 0.9), (BOX, 0.8)], [BOX], [False], 1, 1),  # a duplicate behind full recall costs nothing
        ([(FAR, 0.9), (BOX, 0.8)], [BOX], [False], 0.5, 0.5),
        ([(BOX, 0.9)], [BOX, FAR], [False, False], 0.5, 6 / 11),  # recall 0.5 serves 0, 0.1 .. 0.5
        ([(BOX, 0.9), (BOX, 0.8), (FAR, 0.7)], [BOX, FAR], [False, False], 0.5 + 0.5 * 2 / 3, (6 + 5 * 2 / 3) / 11),
        ([(FAR, 0.9), (FAR, 0.85), (BOX, 0.8)], [BOX, FAR], [False, True], 1, 1),  # difficult: neither right nor wrong
        ([], [BOX], [False], 0, 0),
        ([(BOX, 0.9)], [BOX], [True], math.nan, math.nan),
    ],
)
def test_hand_made_cases(found: list, wanted: list, difficult: list, area: float, eleven: float) -> None:
    metric = OrientedAveragePrecision(["thing"], iou_thresholds=[0.5])
    predictions = {
        "boxes": [box for box, _ in found],
        "scores": [score for _, score in found],
        "labels": [0] * len(found),
    }
    metric.add_image("a", predictions, {"boxes": wanted, "labels": [0] * len(wanted), "difficult": difficult})
    results = metric.compute()
    np.testing.assert_allclose([results["map_50"], results["map_50_voc07"]], [area, eleven])


def test_a_detection_at_the_threshold_counts() -> None:
    """It looks at the reference that it overlaps most, even where that one is taken."""
    overlaps = np.array([[0.8, 0.6], [0.7, 0.65], [0.1, 0.5], [0.3, 0.49]])
    right, ignored = match_detections(overlaps, np.array([False, False]), np.array([0.5, 0.75]))
    assert right.tolist() == [[True, False, True, False], [True, False, False, False]]
    assert not ignored.any()


@pytest.mark.parametrize("recalled", [3, 6, 7])
def test_eleven_points_are_compared_in_whole_numbers(recalled: int) -> None:
    curve = PrecisionRecall(np.arange(1, recalled + 1), references=10)
    assert eleven_point_average_precision(curve) == pytest.approx((recalled + 1) / 11)
    assert area_average_precision(curve) == pytest.approx(recalled / 10)


@pytest.mark.parametrize("references", [7, 10, 20, 30])
def test_official_recalls_are_compared_in_floating_point(references: int) -> None:
    """As the release's own loop does; it misses recalls of exactly 0.3, 0.6 and 0.7."""
    for recalled in range(1, references + 1):
        curve = PrecisionRecall(np.arange(1, recalled + 1), references)
        recalls = curve.right / references
        best = [curve.precision[recalls >= tenth].max(initial=0) for tenth in np.arange(0, 1 + 1e-3, 0.1)]
        official = eleven_point_average_precision(curve, official_recalls=True)
        assert official == pytest.approx(sum(best) / 11)
        missed = (10 * recalled) in (3 * references, 6 * references, 7 * references)
        assert eleven_point_average_precision(curve) - official == pytest.approx(1 / 11 if missed else 0)


def test_the_metric_takes_official_recalls() -> None:
    """Three of ten objects are found."""
    boxes = [[50.0 + 30 * index, 50, 20, 10, 0.3] for index in range(10)]
    found = {"boxes": boxes[:3], "scores": [0.9, 0.8, 0.7], "labels": [0] * 3}
    for official, expected in ((False, 4 / 11), (True, 3 / 11)):
        metric = OrientedAveragePrecision(["thing"], [0.5], official_recalls=official)
        metric.add_image("a", found, {"boxes": boxes, "labels": [0] * 10})
        assert metric.compute()["map_50_voc07"] == pytest.approx(expected)


def test_bad_input() -> None:
    metric = OrientedAveragePrecision(LABELS)
    good = {"boxes": [BOX], "scores": [0.9], "labels": [0]}
    with pytest.raises(ValueError, match="no images were added"):
        metric.compute()
    with pytest.raises(ValueError, match=r"P1: predictions\['labels'\]\[0\] is 3, but there are 3 classes"):
        metric.add_image("P1", {**good, "labels": [3]}, good)
    with pytest.raises(ValueError, match=r"P1: references\['boxes'\]\[0\].*negative"):
        metric.add_image("P1", good, {**good, "boxes": [[1.0, 1, -1, 1, 0]]})
    with pytest.raises(ValueError, match=r"P1: predictions\['scores'\]\[0\] is not finite"):
        metric.add_image("P1", {**good, "scores": [math.nan]}, good)
    with pytest.raises(ValueError, match=r"P1: predictions\['scores'\] must be \[1\]"):
        metric.add_image("P1", {**good, "scores": [0.5, 0.6]}, good)
    with pytest.raises(ValueError, match="P1: predictions lack 'scores'; given: boxes, labels"):
        metric.add_image("P1", {"boxes": [BOX], "labels": [0]}, good)
    with pytest.raises(TypeError, match=r"P1: references\['labels'\] must be whole numbers"):
        metric.add_image("P1", good, {**good, "labels": [0.5]})
    with pytest.warns(UserWarning, match="oriented_boxes_from_degrees"):
        metric.add_image("P1", {**good, "boxes": [[1.0, 1, 4, 1, 90]]}, good)
    with pytest.raises(ValueError, match="the same length, got 1, 2 and 1"):
        metric.add_batch(predictions=[good], references=[good, good])
    with pytest.raises(ValueError, match="labels must be a list"):
        OrientedAveragePrecision("plane")
    with pytest.raises(ValueError, match=r"iou_thresholds must lie in \(0, 1\], got \[50\]"):
        OrientedAveragePrecision(LABELS, [50])
    with pytest.raises(ValueError, match="merge"):
        OrientedAveragePrecision(LABELS, num_process=2)
    with pytest.raises(ValueError, match="cannot merge a metric with labels"):
        metric.merge([OrientedAveragePrecision(["other"]).state()])
    metric.add(prediction=good, reference=good)
    with pytest.raises(ValueError, match="1 images were added without an id"):
        metric.state()
