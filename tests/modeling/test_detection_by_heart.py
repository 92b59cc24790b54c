"""A detector that cannot learn a few images by heart is broken, whatever its losses say."""

import math

import torch
from transformers import ResNetConfig

from s5_hf.metrics import OrientedAveragePrecision
from s5_hf.modeling import S5DetectionConfig, S5ForOrientedObjectDetection, S5ImageProcessor
from tests.modeling.detection_models import MICRO_DETECTOR, painted_scene

LABELS = ["car", "ship", "plane"]
STEPS = 60


def slanted_scenes(count: int, size: int = 64) -> tuple[torch.Tensor, list[dict[str, torch.Tensor]]]:
    """Images `(count, 3, size, size)` with two rectangles each, of any angle and of random classes."""
    generator = torch.Generator().manual_seed(0)
    images, labels = [], []
    for _ in range(count):
        drawn = torch.rand(2, 3, generator=generator)
        x = torch.tensor([0.25, 0.75]) * size
        y = (0.25 + 0.5 * drawn[:, 0]) * size
        sides = torch.tensor([24.0, 10.0]).expand(2, 2)
        boxes = torch.cat([x[:, None], y[:, None], sides, math.pi * (drawn[:, 1:2] - 0.5)], dim=1)
        classes = (3 * drawn[:, 2]).long()
        images.append(painted_scene(boxes, classes, size))
        labels.append({"boxes": boxes, "class_labels": classes})
    return torch.stack(images), labels


def test_eight_images_are_learned_by_heart():
    torch.manual_seed(0)
    backbone = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_indices=[1, 2, 3, 4],
    )
    settings = {
        **MICRO_DETECTOR,
        "rpn_positive_iou": 0.5,
        "roi_moved_copies": 6,
        "rpn_regression_weight": 3.0,
        "proposals_per_level": 30,
        "max_proposals": 40,
    }
    model = S5ForOrientedObjectDetection(
        S5DetectionConfig(backbone_config=backbone, tasks={"scene": LABELS}, **settings)
    ).train()
    images, labels = slanted_scenes(8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 5e-3 * min(1, (step + 1) / 10) * (1 - step / STEPS)
        optimizer.zero_grad()
        model(images, labels=labels).loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = S5ImageProcessor().post_process_oriented_object_detection(model.eval()(images))
    metric = OrientedAveragePrecision(labels=LABELS, iou_thresholds=(0.5,))
    for number, (detections, truth) in enumerate(zip(found, labels, strict=True)):
        metric.add_image(str(number), detections, truth)
    assert metric.compute()["map_50"] > 0.95
