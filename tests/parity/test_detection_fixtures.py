"""The detector against the official one: coders, every stage of a forward pass, targets, losses and detections.

The official theta is the negative of this package's; `released` turns it round, both ways.
"""

import math

import pytest
import torch

from s5_hf.modeling import (
    S5ForOrientedObjectDetection,
    S5ImageProcessor,
    S5ViTBackbone,
    box_coders,
)
from s5_hf.modeling.anchors import inside_image
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_horizontal
from s5_hf.modeling.oriented_roi_head import ProposalSample, as_rois
from s5_hf.modeling.oriented_rpn import AnchorSample
from s5_hf.modeling.rotated_iou import rotated_iou
from s5_hf.modeling.target_assignment import IGNORED, assign_anchors, assign_proposals
from tests.parity.conftest import assert_close

TASKS = ("dior", "dota")
LEVELS = range(5)
RPN_STDS = (1.0, 1.0, 1.0, 1.0, 0.5, 0.5)
ROI_STDS = (0.1, 0.1, 0.2, 0.2, 0.1)


def released(boxes):
    """Boxes `(n, 5)` or boxes with scores `(n, 6)` of one convention in the other."""
    return boxes * boxes.new_tensor([1, 1, 1, 1, -1, 1])[: boxes.shape[1]]


def assert_same_boxes(actual, expected):
    """Equal boxes, angles as lines (theta and theta + pi are one).

    Sides to 1e-4 of the longer one: the official decoder takes differences of corners far from the origin, which
    costs digits of the shorter side, and of the angle of what is nearly a square.
    """
    assert_close(actual[:, :2], expected[:, :2])
    tolerance = 1e-4 * expected[:, 2:4].amax(dim=1, keepdim=True) + 1e-5
    assert ((actual[:, 2:4] - expected[:, 2:4]).abs() <= tolerance).all()
    turn = (actual[:, 4] - expected[:, 4] + math.pi / 2).remainder(math.pi) - math.pi / 2
    assert turn.abs().max() <= 1e-4


def test_coders(arrays):
    expected = arrays("obb_coders")
    anchors, boxes, proposals = expected["anchors"], released(expected["gt"]), released(expected["proposals"])
    offsets = box_coders.encode_midpoint_offsets(anchors, boxes, RPN_STDS)
    assert_close(offsets, expected["mo_encoded"])
    deltas = box_coders.encode_oriented_deltas(proposals, boxes, ROI_STDS)
    assert_close(deltas, expected["oo_encoded"])
    for given, wanted in (("mo_encoded", "mo_decoded"), ("mo_rand_delta", "mo_rand_decoded")):
        decoded = box_coders.decode_midpoint_offsets(anchors, expected[given], RPN_STDS)
        # Where the rectangle is a line, the official code gives it sides and angle out of rounding errors.
        solid = decoded[:, 3] > 1e-5 * decoded[:, 2]
        assert (~solid).sum() <= 12  # of 400, all of them from random deltas
        assert_same_boxes(released(decoded)[solid], expected[wanted][solid])
    for given, wanted in (("oo_encoded", "oo_decoded"), ("oo_rand_delta", "oo_rand_decoded")):
        decoded = box_coders.decode_oriented_deltas(proposals, expected[given], ROI_STDS)
        assert_close(released(decoded), expected[wanted])


@pytest.fixture(scope="module")
def expected(arrays):
    return arrays("det_micro_io")


@pytest.fixture(scope="module")
def detector(converted):
    return S5ForOrientedObjectDetection.from_pretrained(converted("det_micro"), anchor_scale=2, finest_scale=14)


@pytest.fixture(scope="module", params=TASKS)
def task(request):
    return request.param


@pytest.fixture(scope="module")
@torch.no_grad()
def stages(detector, expected, task):
    """Levels, answer of the RPN and proposals of one task."""
    index = TASKS.index(task)
    levels = detector.necks[index](detector.backbone(expected["img"], expert_index=index).feature_maps)
    output = detector.rpn_heads[index](levels)
    return levels, output, detector.rpn_heads[index].propose(output)


def assert_same_maps(actual, expected, name):
    """Rows of all anchors `(2, anchors, ...)` against the maps `(2, channels, height, width)` of five levels."""
    start = 0
    for level in LEVELS:
        _, channels, height, width = expected[f"{name}{level}"].shape
        count = height * width * channels // actual[0, 0].numel()
        one = actual[:, start : start + count].reshape(2, height, width, channels).permute(0, 3, 1, 2)
        assert_close(one, expected[f"{name}{level}"])
        start += count
    assert start == actual.shape[1]


def test_pyramid_and_region_proposal_network(stages, expected, task):
    levels, output, _ = stages
    for number, level in enumerate(levels):
        assert_close(level, expected[f"{task}_fpn{number}"])
    assert_close(output.anchors, torch.cat([expected[f"anchors{level}"] for level in LEVELS]))
    assert_same_maps(output.logits, expected, f"{task}_rpn_cls")
    assert_same_maps(output.deltas, expected, f"{task}_rpn_reg")


def test_proposals(stages, expected, task):
    """Where two scores are equal up to the error of the scores themselves, their order is open, and nowhere else."""
    for image, (boxes, scores) in enumerate(stages[2]):
        wanted = expected[f"{task}_prop{image}"]
        assert_close(scores, wanted[:, 5])
        error = (scores - wanted[:, 5]).abs().max()
        moved = ~torch.isclose(released(boxes), wanted[:, :5], rtol=1e-4, atol=2e-4).all(dim=1)
        rows = moved.nonzero().flatten().tolist()
        partners = []
        for row in rows:
            tied = [other for other in rows if abs(scores[row] - wanted[other, 5]) <= 2 * error]
            distances = (released(boxes[row : row + 1]) - wanted[tied, :5]).abs().amax(dim=1)
            assert distances.min() < 1e-3
            partners.append(tied[int(distances.argmin())])
        assert sorted(partners) == rows


@torch.no_grad()
def test_roi_head(detector, stages, expected, task):
    head, levels = detector.roi_heads[TASKS.index(task)], [level[:1] for level in stages[0]]
    proposals = released(expected[f"{task}_prop0"][:, :5])
    assert_close(head.pool(levels, as_rois([proposals[:64]])), expected[f"{task}_roi_feat0"])
    grown = as_rois([proposals]) * torch.tensor([1, 1, 1, 1.2, 1.4, 1])
    assert torch.equal(head.level_of(grown), expected[f"{task}_roi_level0"])
    logits, deltas = head(levels, [proposals])
    assert_close(logits, expected[f"{task}_roi_cls0"])
    assert_close(deltas, expected[f"{task}_roi_reg0"])


@torch.no_grad()
def test_detections(detector, expected, task):
    """2,000 objects per image; one of four images has one pair swapped whose scores agree in all digits."""
    output = detector(expected["img"], task=task)
    # The official images were 100 px, enlarged to 128.
    found = S5ImageProcessor().post_process_oriented_object_detection(output, target_sizes=[(100, 100)] * 2)
    for image, objects in enumerate(found):
        wanted = expected[f"{task}_det{image}"]
        order = wanted[:, 5].argsort(descending=True, stable=True)
        wanted, labels = wanted[order], expected[f"{task}_det_label{image}"][order]
        assert_close(objects["scores"], wanted[:, 5])
        apart = (released(objects["boxes"])[:, None, :4] - wanted[None, :, :4]).abs().amax(dim=2)
        apart[objects["labels"][:, None] != labels] = torch.inf
        # One borderline overlap is decided otherwise in float32 by the official code (oriented-rcnn, section 11).
        assert (apart.amin(dim=1) > 5e-3).sum() <= 1
        assert (apart.amin(dim=0) > 5e-3).sum() <= 1


def targets_of(expected, image):
    return released(expected[f"gt_obb{image}"]), expected[f"gt_label{image}"]


def test_assignment_of_anchors(stages, expected, task):
    anchors = stages[1].anchors
    for image in range(2):
        hulls = oriented_boxes_to_horizontal(targets_of(expected, image)[0])
        assigned = assign_anchors(anchors, hulls, 0.7, 0.3, 0.3)
        official = expected[f"{task}_rpn_assign{image}"]  # 0 is negative, -1 ignored, boxes from 1
        assert torch.equal(torch.where(assigned == IGNORED, -1, assigned + 1), official)


def test_assignment_of_proposals(expected, task):
    for image in range(2):
        boxes, _ = targets_of(expected, image)
        proposals = released(expected[f"{task}_prop{image}"][:, :5])
        assert_close(rotated_iou(proposals, boxes).amax(dim=1), expected[f"{task}_roi_maxiou{image}"])
        assert torch.equal(assign_proposals(proposals, boxes, 0.5) + 1, expected[f"{task}_roi_assign{image}"])


@torch.no_grad()
def test_losses_of_the_region_proposal_network(detector, stages, expected, task):
    """With the official samples. Boxes of positives are found by the assignment inside the image."""
    head, output = detector.rpn_heads[TASKS.index(task)], stages[1]
    names = ("rpn_labels", "rpn_lweights", "rpn_btargets")
    labels, weights, targets = (
        torch.cat([expected[f"{task}_{name}{level}"] for level in LEVELS], dim=1) for name in names
    )
    samples = []
    for image in range(2):
        boxes, _ = targets_of(expected, image)
        inside = inside_image(output.anchors, (128, 128))
        assigned = assign_anchors(output.anchors, oriented_boxes_to_horizontal(boxes), 0.7, 0.3, 0.3)
        positives, negatives = (
            ((weights[image] > 0) & (labels[image] == kind)).nonzero().flatten() for kind in (1, 0)
        )
        assert torch.equal(positives, (inside & (assigned >= 0)).nonzero().flatten())
        encoded = box_coders.encode_midpoint_offsets(output.anchors[positives], boxes[assigned[positives]], RPN_STDS)
        assert_close(encoded, targets[image][positives])
        samples.append(AnchorSample(positives, negatives, encoded))
    losses = head.loss(output, samples)
    assert_close(losses["rpn_cls"], expected[f"{task}_rpn_loss_cls"].sum())
    assert_close(losses["rpn_bbox"], expected[f"{task}_rpn_loss_bbox"].sum())


@torch.no_grad()
def test_losses_of_the_roi_head(detector, stages, expected, task):
    head = detector.roi_heads[TASKS.index(task)]
    samples = []
    for image in range(2):
        boxes, classes = targets_of(expected, image)
        rows = slice(512 * image, 512 * image + 512)
        proposals, labels = released(expected[f"{task}_roi_sampled{image}"]), expected[f"{task}_roi_t_labels"][rows]
        count = int(expected[f"{task}_roi_npos{image}"])
        match = rotated_iou(proposals[:count], boxes).argmax(dim=1)
        assert torch.equal(labels[:count], classes[match]) and (labels[count:] == head.num_labels).all()
        targets = box_coders.encode_oriented_deltas(proposals[:count], boxes[match], ROI_STDS)
        assert_close(targets, expected[f"{task}_roi_t_btargets"][rows][:count])
        samples.append(ProposalSample(proposals, labels, targets))
    logits, deltas = head(stages[0], [image.proposals for image in samples])
    assert_close(logits, expected[f"{task}_roi_cls_score"])
    assert_close(deltas, expected[f"{task}_roi_bbox_pred"])
    losses = head.loss(logits, deltas, samples)
    assert_close(losses["cls"], expected[f"{task}_roi_loss_cls"])
    assert_close(losses["bbox"], expected[f"{task}_roi_loss_bbox"])


def test_the_samples_of_this_package_have_the_official_numbers(detector, stages, expected, task):
    """256 anchors and 512 proposals; every positive, since they are few; the boxes themselves first."""
    index, output = TASKS.index(task), stages[1]
    numbers = []
    for image in range(2):
        boxes, classes = targets_of(expected, image)
        anchors = detector.rpn_heads[index].sample_anchors(output.anchors, boxes, (128, 128))
        numbers.append((len(anchors.positives), len(anchors.negatives)))
        proposals = detector.roi_heads[index].sample_proposals(stages[2][image][0], boxes, classes)
        assert len(proposals.proposals) == 512
        assert len(proposals.targets) == int(expected[f"{task}_roi_npos{image}"])
        assert torch.equal(proposals.proposals[: len(boxes)], boxes)
    assert [sum(column) for column in zip(*numbers, strict=True)] == expected[f"{task}_rpn_npos_nneg"].tolist()


@torch.no_grad()
def test_merged_detector(detector, expected, task):
    mixed = detector(expected["img"], task=[task] * 2)
    merged = detector.merge_experts(task)(expected["img"])
    for left, right in zip(merged.logits, mixed.logits, strict=True):
        assert_close(left.sort(dim=0).values, right.sort(dim=0).values)


def test_backbone_of_the_detector_is_an_encoder(detector, expected):
    assert isinstance(detector.backbone, S5ViTBackbone)
    assert detector.backbone.config.image_size == 128
    assert [len(labels) for labels in detector.config.tasks.values()] == [20, 18]
    assert detector.config.tasks["dior"][0] == "airplane" and detector.config.tasks["dota"][-1] == "helipad"
