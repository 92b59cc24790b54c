"""Rotated IoU, NMS and RoIAlign against the official compiled operations, whose theta has the other sign."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from s5_hf.modeling.non_maximum_suppression import batched_rotated_nms, horizontal_nms, rotated_nms
from s5_hf.modeling.oriented_boxes import negate_theta
from s5_hf.modeling.rotated_iou import elementwise_rotated_iou, rotated_iou
from s5_hf.modeling.rotated_roi_align import roi_align_rotated
from tests.parity.conftest import assert_close


@pytest.fixture(scope="module")
def official(arrays: Callable[[str], dict[str, Tensor]]) -> dict[str, Tensor]:
    return arrays("rotated_ops")


def negate_roi_theta(rois: Tensor) -> Tensor:
    return torch.cat([rois[:, :1], negate_theta(rois[:, 1:])], dim=1)


@pytest.mark.parametrize(
    ("boxes", "expected", "mode"),
    [
        ("iou_", "iou", "iou"),
        ("dense_", "dense_iou", "iou"),
        ("dense_", "dense_iof", "iof"),
        ("edge_", "edge_iou", "iou"),
    ],
)
def test_iou(official: dict[str, Tensor], boxes: str, expected: str, mode: str) -> None:
    boxes1, boxes2 = (negate_theta(official[f"{boxes}boxes{number}"]) for number in (1, 2))
    assert_close(rotated_iou(boxes1, boxes2, mode), official[expected])


def test_elementwise_iou(official: dict[str, Tensor]) -> None:
    boxes1, boxes2 = (negate_theta(official[f"dense_boxes{number}"]) for number in (1, 2))
    assert_close(elementwise_rotated_iou(boxes1[: len(boxes2)], boxes2), official["dense_aligned_iou"].squeeze(1))


@pytest.mark.parametrize("iou_threshold", [0.1, 0.5])
def test_nms(official: dict[str, Tensor], iou_threshold: float) -> None:
    kept = rotated_nms(negate_theta(official["nms_boxes"]), official["nms_scores"], iou_threshold)
    assert torch.equal(kept, official[f"nms_keep_{iou_threshold}"])


def test_nms_of_crowded_boxes(official: dict[str, Tensor]) -> None:
    kept = rotated_nms(negate_theta(official["nms_dense_boxes"]), official["nms_scores"], 0.1)
    assert torch.equal(kept, official["nms_dense_keep_01"])


def test_nms_per_class(official: dict[str, Tensor]) -> None:
    boxes = negate_theta(official["nms_boxes"])
    kept = batched_rotated_nms(boxes, official["nms_scores"], official["nms_labels"], 0.1)
    assert torch.equal(kept, official["batched_keep"])
    detections = torch.cat([boxes[kept], official["nms_scores"][kept, None]], dim=1)
    assert_close(negate_theta(detections[:, :5]), official["batched_dets"][:, :5])
    assert_close(detections[:, 5], official["batched_dets"][:, 5])


def test_horizontal_nms(official: dict[str, Tensor]) -> None:
    boxes, scores = official["hnms_boxes"].split([4, 1], dim=1)
    assert torch.equal(horizontal_nms(boxes, scores.squeeze(1), 0.8), official["hnms_keep_08"])


@pytest.mark.parametrize(
    ("features", "rois", "stride", "expected"),
    [("roi_feat", "roi_rois", 16, "roi_out"), ("small_feat", "small_rois", 8, "small_roi_out_s2_a1")],
)
def test_roi_align(official: dict[str, Tensor], features: str, rois: str, stride: int, expected: str) -> None:
    pooled = roi_align_rotated(official[features], negate_roi_theta(official[rois]), 7, 1 / stride, 2)
    assert_close(pooled, official[expected])
