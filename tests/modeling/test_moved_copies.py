"""Moved copies of boxes as further proposals for the RoI head."""

import math

import pytest
import torch

from s5_hf.modeling.oriented_roi_head import OrientedRoIHead
from s5_hf.modeling.rotated_iou import elementwise_rotated_iou
from s5_hf.modeling.target_assignment import moved_copies
from tests.modeling.detection_models import micro_detection_config, random_boxes


class TestMovedCopies:
    def test_most_overlap_their_box_by_half_or_more(self):
        boxes = random_boxes(20, 5).float()
        boxes[:, 3] = boxes[:, 2] / 2  # as slender as cars
        copies = moved_copies(boxes, 50, 0.3, torch.Generator().manual_seed(1))
        overlap = elementwise_rotated_iou(copies, boxes.repeat(50, 1))
        assert copies.shape == (1000, 5) and 0.4 < (overlap >= 0.5).float().mean() < 0.95
        assert overlap.max() < 1, "every copy is moved"

    def test_they_move_in_the_axes_of_their_box(self):
        """A quarter turn of a box turns its copies by as much."""
        box = torch.tensor([[50.0, 60, 80, 4, 0.0]])
        turned = torch.tensor([[50.0, 60, 80, 4, math.pi / 2]])
        first, second = (moved_copies(one, 9, 0.3, torch.Generator().manual_seed(2)) for one in (box, turned))
        offset, turned_offset = first[:, :2] - box[:, :2], second[:, :2] - turned[:, :2]
        torch.testing.assert_close(turned_offset, torch.stack([-offset[:, 1], offset[:, 0]], dim=1))
        torch.testing.assert_close(second[:, 2:4], first[:, 2:4])

    def test_the_head_learns_from_them(self):
        config = micro_detection_config(roi_moved_copies=8)
        boxes, labels = torch.tensor([[40.0, 40, 30, 15, 0.4]]), torch.tensor([2])
        far = torch.tensor([[5.0, 5, 4, 4, 0.0]])
        drawn = OrientedRoIHead(config, 3).sample_proposals(far, boxes, labels, torch.Generator().manual_seed(0))
        assert len(drawn.proposals) == 10 and len(drawn.targets) > 3
        assert (drawn.labels[: len(drawn.targets)] == 2).all() and drawn.targets[1:].abs().max() > 0.1
        official = OrientedRoIHead(micro_detection_config(), 3).sample_proposals(far, boxes, labels)
        assert len(official.proposals) == 2 and len(official.targets) == 1

    def test_refused(self):
        with pytest.raises(ValueError, match="roi_moved_copies must not be negative, got -1"):
            micro_detection_config(roi_moved_copies=-1)
