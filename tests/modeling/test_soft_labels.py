"""Pseudo-boxes in the detector's loss: weights of objects, places that are no background, and what is refused."""

import pytest
import torch

from s5_hf.modeling import S5ForOrientedObjectDetection
from s5_hf.modeling.detection_labels import ImageLabels
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_horizontal
from s5_hf.modeling.rotated_iou import rotated_iou
from s5_hf.modeling.soft_labels import soft_anchors, soft_proposals
from s5_hf.modeling.target_assignment import horizontal_iou
from tests.modeling.detection_models import micro_detection_config, painted_scene

BOXES, CLASSES = torch.tensor([[30.0, 30, 24, 14, 0.4], [70, 62, 20, 12, -0.6]]), torch.tensor([0, 2])


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(2)
    return S5ForOrientedObjectDetection(micro_detection_config()).train()


def soft(weights, uncertain=()):
    return {"boxes": BOXES, "class_labels": CLASSES, "weights": weights, "uncertain_boxes": uncertain}


def run(detector, labels, count=1):
    image = painted_scene(BOXES, CLASSES, 96)[None].repeat(count, 1, 1, 1)
    return detector(image, labels=labels, generator=torch.Generator().manual_seed(5))


def test_objects_of_full_weight_count_like_certain_ones(detector):
    certain = run(detector, [{"boxes": BOXES, "class_labels": CLASSES}])
    assert certain.soft_loss_parts is None
    uncertain = run(detector, [soft([1.0, 1.0])])
    assert uncertain.loss is None and uncertain.loss_parts is None
    for name, part in certain.loss_parts["vehicles"].items():
        torch.testing.assert_close(uncertain.soft_loss_parts["vehicles"][name], part, rtol=1e-5, atol=1e-6, msg=name)


def test_weights_scale_what_objects_count(detector):
    """Both objects by a half: half of the regression; without weight nothing of it is left."""
    parts = {weight: run(detector, [soft([weight] * 2)]).soft_loss_parts["vehicles"] for weight in (1.0, 0.5, 0.0)}
    for name in ("rpn_bbox", "bbox"):
        assert parts[0.5][name].item() == pytest.approx(parts[1.0][name].item() / 2, rel=1e-5)
        assert parts[0.0][name].item() == 0 < parts[1.0][name].item()
    for name in ("rpn_cls", "cls"):  # the background stays
        half = (parts[1.0][name] + parts[0.0][name]) / 2
        assert parts[0.5][name].item() == pytest.approx(half.item(), rel=1e-5) and parts[0.0][name] > 0


def test_every_anchor_has_the_weight_of_its_own_object(detector):
    head, levels = detector.rpn_heads[0], [torch.zeros(1, 16, 96 // stride, 96 // stride) for stride in (4, 8, 16, 32)]
    anchors = head([*levels, torch.zeros(1, 16, 2, 2)]).anchors
    target = ImageLabels(BOXES, CLASSES, torch.tensor([0.25, 0.75]), torch.empty(0, 5))
    sample, weights = soft_anchors(head, anchors, target, (96, 96), None)
    overlaps = horizontal_iou(anchors[sample.positives], oriented_boxes_to_horizontal(BOXES))
    assert set(weights.tolist()) == {0.25, 0.75}
    assert torch.equal(weights, torch.tensor([0.25, 0.75])[overlaps.argmax(dim=1)])


def test_around_uncertain_boxes_nothing_is_background(detector):
    head, roi_head = detector.rpn_heads[0], detector.roi_heads[0]
    levels = [torch.zeros(1, 16, 96 // stride, 96 // stride) for stride in (4, 8, 16, 32)]
    anchors = head([*levels, torch.zeros(1, 16, 2, 2)]).anchors
    uncertain = torch.tensor([[24.0, 70, 20, 16, 0.2]])
    target = ImageLabels(BOXES[:0], CLASSES[:0], torch.empty(0), uncertain)
    sample, weights = soft_anchors(head, anchors, target, (96, 96), torch.Generator().manual_seed(0))
    assert len(weights) == len(sample.positives) == 0 < len(sample.negatives)
    overlaps = horizontal_iou(anchors[sample.negatives], oriented_boxes_to_horizontal(uncertain))
    assert overlaps.max() < head.config.rpn_negative_iou

    proposals = torch.cat([uncertain + torch.tensor([[2.0, 0, 0, 0, 0]]), torch.tensor([[80.0, 20, 10, 10, 0]])])
    drawn, weights = soft_proposals(roi_head, proposals, target, None)
    torch.testing.assert_close(drawn.proposals, proposals[1:])
    assert drawn.labels.tolist() == [3] and weights.tolist() == [1.0]
    assert rotated_iou(proposals[:1], uncertain).item() > 0.5  # what was left out


def test_certain_and_uncertain_images_in_one_batch(detector):
    """The certain image has the loss that it has alone; gradients come from both."""
    alone = run(detector, [{"boxes": BOXES, "class_labels": CLASSES}])
    both = run(detector, [{"boxes": BOXES, "class_labels": CLASSES}, soft([0.5, 0.5], BOXES[:0])], count=2)
    assert both.loss.item() == pytest.approx(alone.loss.item(), rel=1e-4)  # its samples are drawn first
    assert set(both.soft_loss_parts["vehicles"]) == {"rpn_cls", "rpn_bbox", "cls", "bbox"}
    sum(both.soft_loss_parts["vehicles"].values()).backward()
    gradient = detector.roi_heads[0].classifier.weight.grad
    detector.zero_grad()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (soft([0.5]), r"image 0 has 2 boxes, but weights of the shape \(1,\)"),
        (soft([0.5, 1.5]), r"labels\[0\]\['weights'\] must lie between 0 and 1, got \[0\.5, 1\.5\]"),
        (soft([0.5, float("nan")]), "must lie between 0 and 1"),
        (
            {"boxes": BOXES, "class_labels": CLASSES, "uncertain_boxes": BOXES},
            "the labels of image 0 have uncertain_boxes, but no weights",
        ),
        (soft([1.0, 1.0], torch.full((1, 5), float("inf"))), r"labels\[0\]\['uncertain_boxes'\]"),
    ],
)
def test_refused(detector, labels, message):
    with pytest.raises(ValueError, match=message):
        run(detector, [labels])
