"""A detector whose proposals are horizontal: their hulls, their assignment, and what the RoI head learns from them."""

import math

import pytest
import torch

from s5_hf.modeling import box_coders
from s5_hf.modeling.oriented_boxes import horizontal_to_oriented_boxes, oriented_boxes_to_horizontal
from s5_hf.modeling.oriented_roi_head import OrientedRoIHead
from s5_hf.modeling.oriented_rpn import OrientedRPN
from s5_hf.modeling.target_assignment import NEGATIVE, assign_by_hulls, assign_proposals
from tests.modeling.detection_models import RPN_STDS, micro_detection_config, random_boxes


class TestHorizontalProposals:
    """What a region proposal network in the form of Faster R-CNN gives the RoI head."""

    def test_hulls_of_midpoint_offsets(self):
        """They are decoded whatever the touching points are; the sides that the offsets name remain."""
        anchor = torch.tensor([[0.0, 0, 20, 10]])
        for touching in (0.0, 1.0, -0.3):
            deltas = torch.tensor([[0.1, 0, 0, math.log(4), touching, touching]])
            box = box_coders.decode_midpoint_hulls(anchor, deltas, RPN_STDS)[0].tolist()
            assert box == pytest.approx([12, 5, 40, 20, math.pi / 2]), "upright, the long side first"

    def test_the_hulls_of_encoded_boxes_come_back(self):
        boxes, anchors = random_boxes(50, 8), oriented_boxes_to_horizontal(random_boxes(50, 9))
        deltas = box_coders.encode_midpoint_offsets(anchors, boxes, RPN_STDS)
        found = oriented_boxes_to_horizontal(box_coders.decode_midpoint_hulls(anchors, deltas, RPN_STDS))
        hulls = oriented_boxes_to_horizontal(boxes)
        within_clamp = ((hulls[:, 2:] - hulls[:, :2]) < 60 * (anchors[:, 2:] - anchors[:, :2])).all(dim=1)
        assert within_clamp.sum() > 40
        torch.testing.assert_close(found[within_clamp], hulls[within_clamp], rtol=0, atol=1e-4)

    def test_they_are_assigned_by_hulls(self):
        """A slanted box fills too little of its own hull to be found by the rotated IoU."""
        boxes = torch.tensor([[10.0, 10, 10, 10, 0], [50, 50, 40, 10, math.pi / 4]])
        hulls = horizontal_to_oriented_boxes(oriented_boxes_to_horizontal(boxes))
        proposals = torch.cat([hulls.flip(0), torch.tensor([[10.0, 10, 10, 4.9, 0], [90, 90, 5, 5, 0]])])
        assert assign_by_hulls(proposals, boxes, 0.5).tolist() == [1, 0, NEGATIVE, NEGATIVE]
        assert assign_proposals(proposals, boxes, 0.5).tolist() == [NEGATIVE, 0, NEGATIVE, NEGATIVE]
        assert assign_by_hulls(proposals, boxes[:0], 0.5).tolist() == [NEGATIVE] * 4
        assert assign_by_hulls(proposals[:0], boxes, 0.5).shape == (0,)

    def test_the_network_proposes_them(self):
        torch.manual_seed(0)
        oriented, horizontal = (
            OrientedRPN(micro_detection_config(proposal_form=form)) for form in ("oriented", "horizontal")
        )
        horizontal.load_state_dict(oriented.state_dict())
        output = oriented([torch.randn(1, 16, 64 // stride, 64 // stride) for stride in (4, 8, 16, 32, 64)])
        (slanted, _), (upright, scores) = oriented.propose(output)[0], horizontal.propose(output)[0]
        assert upright.shape == (len(scores), 5) and len(upright) > 20
        assert ((upright[:, 4] == 0) | (upright[:, 4] == upright.new_tensor(math.pi / 2))).all()
        assert slanted[:, 4].unique().numel() > 20

    def test_the_head_learns_the_angle_from_them(self):
        config = micro_detection_config(proposal_form="horizontal")
        box, label = torch.tensor([[50.0, 50, 40, 10, 0.6]]), torch.tensor([2])
        hull = horizontal_to_oriented_boxes(oriented_boxes_to_horizontal(box))
        drawn = OrientedRoIHead(config, 3).sample_proposals(hull, box, label)
        torch.testing.assert_close(drawn.proposals, torch.cat([box, hull]))
        assert drawn.labels.tolist() == [2, 2] and drawn.targets[1, 4].item() == pytest.approx(-6, abs=1e-4)
        by_overlap = OrientedRoIHead(micro_detection_config(), 3).sample_proposals(hull, box, label)
        assert by_overlap.labels.tolist() == [2, 3]

    def test_another_form_is_refused(self):
        with pytest.raises(ValueError, match="proposal_form is 'slanted', expected one of oriented, horizontal"):
            micro_detection_config(proposal_form="slanted")
