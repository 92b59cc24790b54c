"""Anchors, box coders, assignment, sampling, and what becomes of scores: values made by hand and properties."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.modeling import (
    S5DetectionConfig,
    S5ForOrientedObjectDetection,
    S5ImageProcessor,
    S5ObjectDetectionOutput,
    S5ViTConfig,
    box_coders,
    target_assignment,
)
from s5_hf.modeling.anchors import STRIDES, AnchorBands, inside_image, level_anchors
from s5_hf.modeling.necks import FeaturePyramidNetwork
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_horizontal
from s5_hf.modeling.oriented_roi_head import OrientedRoIHead, ProposalSample
from s5_hf.modeling.oriented_rpn import AnchorSample, OrientedRPN, RPNOutput
from s5_hf.modeling.rotated_iou import elementwise_rotated_iou
from s5_hf.modeling.target_assignment import IGNORED, NEGATIVE, assign_anchors, assign_proposals, sample
from tests.modeling.detection_models import RPN_STDS, micro_detection_config, random_boxes

ROI_STDS = (0.1, 0.1, 0.2, 0.2, 0.1)


def test_anchors_of_a_level():
    anchors = level_anchors((2, 3), stride=4, scale=8, ratios=(0.5, 1.0, 2.0))
    assert anchors.shape == (18, 4)
    assert anchors[1].tolist() == [-16, -16, 16, 16], "centred on the corner of the cell"
    assert anchors[1 + 3 * 2].tolist() == [-8, -16, 24, 16], "columns before rows"
    assert anchors[1 + 3 * 3].tolist() == [-16, -12, 16, 20]
    width, height = (anchors[0, 2:] - anchors[0, :2]).tolist()
    assert (width, height) == pytest.approx((32 * 2**0.5, 32 / 2**0.5)), "ratio 0.5 lies flat"


def test_anchors_of_a_published_image():
    assert sum(len(level_anchors((1024 // s, 1024 // s), s, 8, (0.5, 1, 2))) for s in (4, 8, 16, 32, 64)) == 261_888


def test_anchors_inside_an_image():
    anchors = torch.tensor([[0.0, 0, 10, 10], [-0.1, 0, 10, 10], [0, 0, 20, 10], [0, 0, 19.9, 10], [0, 0, 10, 12]])
    assert inside_image(anchors, (12, 20)).tolist() == [True, False, False, True, False]


def test_midpoint_offsets_of_an_axis_aligned_box():
    """It touches its hull everywhere; the rightmost and the lowest corner count."""
    anchor = torch.tensor([[0.0, 0, 20, 10]])
    box = torch.tensor([[12.0, 5, 20, 20, 0]])
    deltas = box_coders.encode_midpoint_offsets(anchor, box, RPN_STDS)[0].tolist()
    assert deltas == pytest.approx([0.1, 0, 0, math.log(2), 1, 1])


def test_midpoint_offsets_of_a_turned_box():
    """Turned clockwise by 30 degrees the left corner of the upper side becomes the highest."""
    box = torch.tensor([[0.0, 0, 40, 10, math.pi / 6]])
    left, top, right, bottom = oriented_boxes_to_horizontal(box)[0].tolist()
    deltas = box_coders.encode_midpoint_offsets(torch.tensor([[left, top, right, bottom]]), box, RPN_STDS)[0].tolist()
    cos, sin = math.cos(math.pi / 6), math.sin(math.pi / 6)
    highest_x, rightmost_y = -20 * cos + 5 * sin, 20 * sin - 5 * cos  # of the corners (-w, -h) and (w, -h)
    expected = [0, 0, 0, 0, 2 * highest_x / (right - left), 2 * rightmost_y / (bottom - top)]
    assert deltas == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_both_coders_come_back_to_the_box(seed):
    boxes = random_boxes(50, seed)
    hulls = oriented_boxes_to_horizontal(random_boxes(50, seed + 1))
    again = box_coders.decode_midpoint_offsets(
        hulls, box_coders.encode_midpoint_offsets(hulls, boxes, RPN_STDS), RPN_STDS
    )
    within_clamp = boxes[:, 2:4].sum(dim=1) < 50 * (hulls[:, 2:] - hulls[:, :2]).amin(dim=1)
    # Corners within 0.1 px of a side count as touching it, so boxes that are nearly upright come back upright.
    turned = torch.stack([boxes[:, 4].sin(), boxes[:, 4].cos()], dim=1).abs().amin(dim=1) * boxes[:, 2:4].amin(dim=1)
    exact = within_clamp & (turned > 0.1)
    assert exact.sum() > 20
    iou = elementwise_rotated_iou(boxes, again)[exact]
    torch.testing.assert_close(iou, torch.ones_like(iou), rtol=0, atol=1e-4)
    proposals = random_boxes(50, seed + 2)
    deltas = box_coders.encode_oriented_deltas(proposals, boxes, ROI_STDS)
    assert (deltas[:, 4].abs() * 0.1 <= math.pi / 4 + 1e-5).all()
    again = box_coders.decode_oriented_deltas(proposals, deltas, ROI_STDS)
    # Six digits of pi, as in the release, turn a box by up to 7e-7.
    torch.testing.assert_close(elementwise_rotated_iou(boxes, again), torch.ones(50).double(), rtol=0, atol=1e-4)


def test_angle_deltas_count_counter_clockwise():
    """As in the release, whose weights predict them; a clockwise turn is positive in boxes, negative in deltas."""
    proposal, box = torch.tensor([[0.0, 0, 40, 10, 0.2]]), torch.tensor([[0.0, 0, 40, 10, 0.3]])
    assert box_coders.encode_oriented_deltas(proposal, box, ROI_STDS)[0, 4].item() == pytest.approx(-1.0, abs=1e-5)


def test_offsets_are_along_the_axes_of_the_proposal():
    theta = torch.tensor(0.7)
    proposal = torch.tensor([[10.0, 20, 40, 10, 0.7]])
    ahead = torch.tensor([[10 + 8 * theta.cos(), 20 + 8 * theta.sin(), 40, 10, 0.7]])
    deltas = box_coders.encode_oriented_deltas(proposal, ahead, ROI_STDS)[0].tolist()
    assert deltas == pytest.approx([2, 0, 0, 0, 0], abs=1e-4)


def test_sizes_change_by_a_bounded_factor():
    anchor, wild = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[0.0, 0, 50, 50, 0, 0]])
    box = box_coders.decode_midpoint_offsets(anchor, wild, RPN_STDS)
    # The touching points are in the middle: a square on its corner, with the hull as diagonals.
    assert box[0, 2:4].tolist() == pytest.approx([10 * 62.5 / 2**0.5] * 2, rel=1e-5)


def test_assignment_of_anchors():
    hulls = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [100, 100, 110, 110]])
    anchors = torch.tensor(
        [
            [0.0, 0, 10, 10],  # the first hull itself
            [0, 0, 10, 8],  # 0.8 of it
            [0, 0, 10, 5],  # 0.5: in between
            [0, 0, 10, 2],  # 0.2
            [20, 0, 30, 4],  # 0.4 of the second, whose best it is
            [20, 6, 30, 10],  # and just as good
            [100, 100, 110, 102],  # 0.2 of the third, whose best it is, but too little
        ]
    )
    assigned = assign_anchors(anchors, hulls, 0.7, 0.3, 0.3)
    assert assigned.tolist() == [0, 0, IGNORED, NEGATIVE, 1, 1, NEGATIVE]


def test_the_last_of_several_hulls_claims_an_anchor():
    hulls = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 4.5], [0, 0, 10, 4]])
    anchors = torch.tensor([[0.0, 0, 10, 9]])
    assert assign_anchors(anchors, hulls, 0.7, 0.3, 0.3).tolist() == [2], "0.9, 0.5 and 0.44: best of each"


@pytest.mark.parametrize("count", [0, 1, 37])
def test_assignment_in_pieces_is_the_same(count, monkeypatch):
    anchors = level_anchors((12, 12), 8, 4, (0.5, 1, 2))
    hulls = oriented_boxes_to_horizontal(random_boxes(count, 3, largest=60.0).float() / torch.tensor([5, 5, 1, 1, 1]))
    whole = assign_anchors(anchors, hulls, 0.7, 0.3, 0.3)
    monkeypatch.setattr(target_assignment, "BOXES_AT_ONCE", 100)
    assert torch.equal(assign_anchors(anchors, hulls, 0.7, 0.3, 0.3), whole)
    assert (whole >= 0).any() == (count > 0)


def test_assignment_in_bands_of_levels_is_the_same():
    """Every band is at most one slice per level, and leaves anchors out."""
    ratios, shapes = (0.5, 1, 2), tuple((160 // stride, 128 // stride) for stride in STRIDES)
    anchors = torch.cat([level_anchors(shape, s, 4, ratios) for shape, s in zip(shapes, STRIDES, strict=True)])
    bands = AnchorBands(shapes, 4, ratios)
    near = torch.cat([anchors[band] for band in bands(40, 50)])
    assert len(near) < len(anchors) / 2
    assert len(near) >= ((anchors[:, 3] >= 40) & (anchors[:, 1] <= 50)).sum()
    assert bands(-300, -200) == [] and bands(400, 500) == []
    hulls = oriented_boxes_to_horizontal(random_boxes(40, 3, largest=60.0).float() / torch.tensor([4, 3, 1, 1, 1]))
    hulls = torch.cat([hulls, torch.tensor([[-90.0, -90, -80, -80]])])
    whole = assign_anchors(anchors, hulls, 0.7, 0.3, 0.3)
    assert torch.equal(assign_anchors(anchors, hulls, 0.7, 0.3, 0.3, bands), whole)
    assert (whole >= 0).sum() > 20


def test_proposals_that_are_not_finite_are_refused():
    head = OrientedRPN(micro_detection_config())
    output = head([torch.zeros(1, 16, 64 // stride, 64 // stride) for stride in STRIDES])
    assert len(head.propose(output)[0][0]) > 0
    output.deltas.detach().fill_(math.nan)
    with pytest.raises(ValueError, match="gives proposals that are NaN or infinite"):
        head.propose(output)


def test_assignment_of_proposals():
    boxes = torch.tensor([[10.0, 10, 10, 10, 0], [50, 50, 30, 10, 0.5]])
    proposals = torch.tensor([[10.0, 10, 10, 5.1, 0], [10, 10, 10, 4.9, 0], [50, 50, 30, 10, 0.5], [90, 90, 5, 5, 0]])
    assert assign_proposals(proposals, boxes, 0.5).tolist() == [0, NEGATIVE, 1, NEGATIVE]
    assert assign_proposals(proposals, boxes[:0], 0.5).tolist() == [NEGATIVE] * 4
    assert assign_proposals(proposals[:0], boxes, 0.5).shape == (0,)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 1000))
def test_samples_are_subsets_of_the_asked_size(positive, negative, ignored, seed):
    kinds = torch.tensor([0] * positive + [NEGATIVE] * negative + [IGNORED] * ignored, dtype=torch.int64)
    assigned = kinds[torch.randperm(len(kinds), generator=torch.Generator().manual_seed(seed))]
    first, second = (sample(assigned, 32, 0.25, torch.Generator().manual_seed(seed)) for _ in range(2))
    for left, right in zip(first, second, strict=True):
        assert torch.equal(left, right)
    positives, negatives = first
    assert len(positives) == min(positive, 8)
    assert len(negatives) == min(negative, 32 - len(positives))
    assert (assigned[positives] == 0).all() and (assigned[negatives] == NEGATIVE).all()
    for indices in first:
        assert indices.tolist() == sorted(set(indices.tolist()))


def test_samples_are_spread_evenly():
    assigned = torch.full((10,), NEGATIVE)
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(10)
    for _ in range(500):
        counts[sample(assigned, 5, 0.5, generator)[1]] += 1
    assert counts.min() > 200 and counts.max() < 300


def test_losses_of_the_rpn():
    head = OrientedRPN(micro_detection_config())
    logits, deltas = torch.tensor([[0.0, 2.0, -1.0], [1.0, 0.0, 0.0]]), torch.zeros(2, 3, 6)
    deltas[0, 1] = 0.5
    output = RPNOutput(logits, deltas, torch.zeros(3, 4), (3,))
    none = torch.zeros(0, dtype=torch.long)
    samples = [
        AnchorSample(torch.tensor([1]), torch.tensor([2]), torch.zeros(1, 6)),
        AnchorSample(none, torch.tensor([0]), torch.zeros(0, 6)),
    ]
    losses = head.loss(output, samples)
    count = (1 + 1) + (1 + 1)  # no positive counts as one
    expected = math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)) + math.log1p(math.exp(1))
    assert losses["rpn_cls"].item() == pytest.approx(expected / count, rel=1e-5)
    assert losses["rpn_bbox"].item() == pytest.approx(6 * (0.5 - 1 / 18) / count, rel=1e-5)


def test_losses_of_the_roi_head():
    head = OrientedRoIHead(micro_detection_config(), num_labels=3)
    logits, deltas = torch.zeros(3, 4), torch.zeros(3, 5)
    deltas[0] = 3.0
    labels = torch.tensor([1, 3, 3])
    losses = head.loss(logits, deltas, [ProposalSample(torch.zeros(3, 5), labels, torch.zeros(1, 5))])
    assert losses["cls"].item() == pytest.approx(math.log(4))
    assert losses["bbox"].item() == pytest.approx(5 * (3 - 0.5) / 3)


def test_the_boxes_themselves_are_candidates():
    head = OrientedRoIHead(micro_detection_config(), num_labels=3)
    boxes, labels = torch.tensor([[20.0, 20, 10, 10, 0.3], [60, 60, 20, 10, 0]]), torch.tensor([2, 0])
    proposals = torch.tensor([[200.0, 200, 10, 10, 0], [60, 61, 20, 10, 0]])
    chosen = head.sample_proposals(proposals, boxes, labels)
    assert torch.equal(chosen.proposals, torch.cat([boxes, proposals.flip(0)]))
    assert chosen.labels.tolist() == [2, 0, 0, 3]
    assert chosen.targets.shape == (3, 5)
    assert chosen.targets[:2].abs().max() < 1e-4
    assert chosen.targets[2, 1].item() == pytest.approx(-1.0, abs=1e-4), "one of ten pixels up, over 0.1"


def test_levels_of_rois():
    head = OrientedRoIHead(S5DetectionConfig(S5ViTConfig(hidden_size=32, num_attention_heads=4)), num_labels=3)
    sides = torch.tensor([1.0, 55, 111.9, 112.1, 224.1, 447, 449, 5000])
    rois = torch.stack([sides * 0, sides, sides, sides * 2, sides / 2, sides * 0], dim=1)
    assert head.level_of(rois).tolist() == [0, 0, 0, 1, 2, 2, 3, 3]


def outputs_of(logits, boxes, size=(100, 100)):
    return S5ObjectDetectionOutput(logits=[logits], pred_boxes=[boxes], image_sizes=torch.tensor([size]))


PROCESSOR = S5ImageProcessor()


def test_post_processing():
    """Every class of a box above the threshold; suppression within a class; best first."""
    boxes = torch.tensor([[20.0, 20, 20, 10, 0], [21, 20, 20, 10, 0], [70, 70, 20, 10, 0.5], [50, 50, 1e-4, 5, 0]])
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.6, 0.1, 0.3], [0.02, 0.9, 0.08], [0.9, 0.05, 0.05]])
    found = PROCESSOR.post_process_oriented_object_detection(outputs_of(probabilities.log(), boxes), threshold=0.04)[0]
    assert found["labels"].tolist() == [1, 0, 1]
    torch.testing.assert_close(found["scores"], torch.tensor([0.9, 0.6, 0.3]))
    torch.testing.assert_close(found["boxes"], boxes[[2, 1, 0]])
    few = PROCESSOR.post_process_oriented_object_detection(
        outputs_of(probabilities.log(), boxes), threshold=0.04, max_detections=1
    )[0]
    assert few["labels"].tolist() == [1]
    both = PROCESSOR.post_process_oriented_object_detection(
        outputs_of(probabilities.log(), boxes), threshold=0.04, iou_threshold=0.95
    )[0]
    assert len(both["scores"]) == 5, "two classes of two boxes and the third; the thin one is dropped"
    none = PROCESSOR.post_process_oriented_object_detection(outputs_of(probabilities.log(), boxes), threshold=0.95)[0]
    assert {name: tuple(values.shape) for name, values in none.items()} == {
        "scores": (0,),
        "labels": (0,),
        "boxes": (0, 5),
    }


def test_boxes_at_another_size():
    boxes = torch.tensor([[20.0, 40, 30, 10, 0.5], [50, 50, 40, 20, 0]])
    outputs = outputs_of(torch.tensor([[9.0, 0, 0], [0, 9.0, 0]]), boxes)
    equal = PROCESSOR.post_process_oriented_object_detection(outputs, 0.5, target_sizes=[(200, 200)])[0]["boxes"]
    torch.testing.assert_close(equal, boxes * torch.tensor([2, 2, 2, 2, 1]))
    wide = PROCESSOR.post_process_oriented_object_detection(outputs, 0.5, target_sizes=[(100, 300)])[0]["boxes"]
    torch.testing.assert_close(wide[1], torch.tensor([150.0, 50, 120, 20, 0]))
    assert wide[0, :2].tolist() == pytest.approx([60, 40])
    assert wide[0, 2] * wide[0, 3] > 3 * 30 * 10 - 1e-2, "the parallelogram fits in"
    hulls = PROCESSOR.post_process_object_detection(outputs, 0.5, target_sizes=[(100, 300)])[0]["boxes"]
    torch.testing.assert_close(hulls[1], torch.tensor([90.0, 40, 210, 60]))
    with pytest.raises(ValueError, match="got 2 target sizes for 1 images"):
        PROCESSOR.post_process_oriented_object_detection(outputs, target_sizes=[(1, 1), (2, 2)])
    with pytest.raises(ValueError, match="in training mode with labels there are only losses"):
        PROCESSOR.post_process_oriented_object_detection(S5ObjectDetectionOutput())


def test_group_norms_of_the_pyramid():
    """They stand behind every convolution, and are not there unless asked for."""
    maps = [torch.randn(2, 8, 16 // 2**level, 16 // 2**level) for level in range(4)]
    normed, plain = FeaturePyramidNetwork([8] * 4, 16, norm_groups=4), FeaturePyramidNetwork([8] * 4, 16)
    assert {name for name in normed.state_dict() if "norm" in name} == {
        f"{place}_norms.{level}.0.{part}"
        for place in ("lateral", "level")
        for level in range(4)
        for part in ("weight", "bias")
    }
    assert not any("norm" in name for name in plain.state_dict())
    levels, scaled = (normed([factor * one for one in maps]) for factor in (1e3, 1e5))  # biases do not count
    assert all(level.min() >= 0 for level in levels), "a ReLU is the last"
    for level, other in zip(levels, scaled, strict=True):
        torch.testing.assert_close(level, other, rtol=0, atol=0.05)
    assert any(level.min() < 0 for level in plain(maps))
    with pytest.raises(ValueError, match="fpn_norm_groups must be 0 or divide fpn_channels 16, got 5"):
        micro_detection_config(fpn_norm_groups=5)


def test_heads_may_start_with_larger_weights():
    plain, larger = (
        S5ForOrientedObjectDetection(micro_detection_config(roi_channels=256, head_initial_factor=factor))
        for factor in (1.0, 4.0)
    )
    for name, std in (
        ("rpn_heads.0.conv", 0.01),
        ("roi_heads.0.classifier", 0.01),
        ("roi_heads.0.regressor", 0.001),
    ):
        for model, factor in ((plain, 1), (larger, 4)):
            assert model.get_submodule(name).weight.std().item() == pytest.approx(factor * std, rel=0.2), name


def test_regression_weights_scale_their_losses():
    plain, weighted = (
        micro_detection_config(),
        micro_detection_config(rpn_regression_weight=3, roi_regression_weight=2),
    )
    deltas, proposals = torch.tensor([[1.0, 0, 0, 0, 0]]), torch.tensor([[9.0, 9, 4, 4, 0]])
    roi = ProposalSample(proposals, torch.tensor([1]), torch.zeros(1, 5))
    rpn = RPNOutput(torch.zeros(1, 1), torch.ones(1, 1, 6), torch.zeros(1, 4), (1,))
    anchor = AnchorSample(torch.tensor([0]), torch.tensor([], dtype=torch.int64), torch.zeros(1, 6))
    for head, part, factor in ((OrientedRoIHead, "bbox", 2), (OrientedRPN, "rpn_bbox", 3)):
        arguments = (torch.zeros(1, 4), deltas, [roi]) if head is OrientedRoIHead else (rpn, [anchor])
        made = [head(config, 3) if head is OrientedRoIHead else head(config) for config in (plain, weighted)]
        losses = [one.loss(*arguments) for one in made]
        assert losses[1][part] == pytest.approx(factor * losses[0][part].item()) and losses[0][part] > 0
        assert all(losses[0][name] == losses[1][name] for name in losses[0] if name != part)
