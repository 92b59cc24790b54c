"""Micro detectors, random boxes, and a scene with painted rectangles, for the tests of the detector."""

import math

import torch

from s5_hf.modeling import S5DetectionConfig, S5ViTConfig

DETECTION_TASKS = {"vehicles": ["car", "ship", "plane"], "roofs": ["roof"]}

RPN_STDS = (1.0, 1.0, 1.0, 1.0, 0.5, 0.5)

# Small enough for a few milliseconds a step; scale and levels fit images of about 100 px.
MICRO_DETECTOR = {
    "fpn_channels": 16,
    "roi_channels": 32,
    "anchor_scale": 4,
    "finest_scale": 28,
    "proposals_per_level": 60,
    "max_proposals": 100,
    "rpn_samples": 64,
    "roi_samples": 64,
}


def micro_detection_config(num_experts: int = 0, **settings: object) -> S5DetectionConfig:
    """A detector of a few thousand parameters; two tasks if it has experts, else one."""
    tasks = DETECTION_TASKS if num_experts else {"vehicles": DETECTION_TASKS["vehicles"]}
    vit = S5ViTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=64,
        drop_path_rate=0.0,
        num_experts=num_experts,
        expert_channels=8,
    )
    return S5DetectionConfig(backbone_config=vit, tasks=tasks, **{**MICRO_DETECTOR, **settings})


def random_boxes(count: int, seed: int, largest: float = 200.0) -> torch.Tensor:
    """Oriented boxes `(count, 5)`, float64, with sides of 4 pixels or more."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(count, 5, generator=generator, dtype=torch.float64)
    low = torch.tensor([0.0, 0.0, 4.0, 4.0, -math.pi], dtype=torch.float64)
    high = torch.tensor([500.0, 500.0, largest, largest, math.pi], dtype=torch.float64)
    return low + values * (high - low)


def painted_scene(boxes: torch.Tensor, classes: torch.Tensor, size: int) -> torch.Tensor:
    """An image `(3, size, size)` of noise, with a rectangle in the channel of its class for every box."""
    image = 0.1 * torch.randn(3, size, size, generator=torch.Generator().manual_seed(3))
    y, x = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    for (cx, cy, w, h, theta), channel in zip(boxes, classes, strict=True):
        along = (x - cx) * theta.cos() + (y - cy) * theta.sin()
        across = (y - cy) * theta.cos() - (x - cx) * theta.sin()
        image[channel][(along.abs() < w / 2) & (across.abs() < h / 2)] = 2.0
    return image
