"""The detector's configuration: published sizes, tasks in order, what is refused."""

import pytest
import torch
from transformers import AutoConfig

from s5_hf.modeling import S5DetectionConfig, S5ForOrientedObjectDetection, S5ViTConfig
from tests.modeling.detection_models import DETECTION_TASKS, micro_detection_config

DIOR = {"dior": [f"class_{index}" for index in range(20)]}
BOTH = {**DIOR, "dota": [f"class_{index}" for index in range(18)]}

# oriented-rcnn, section 10: size, side of the position embeddings in pixels, millions with two experts and for DIOR-R.
PUBLISHED = [
    ("b", 1024, "140.64", "113.54"),
    ("l", 1024, "380.91", "337.81"),
    ("h", 1024, "733.90", "673.76"),
    ("b", 512, "138.28", "111.18"),
    ("l", 512, "377.76", "334.66"),
    ("h", 512, "729.97", "669.83"),
    ("h", 800, None, "671.72"),
]


def millions(config):
    """Parameters in millions, with `cls_token`, which the official code stores and never uses."""
    with torch.device("meta"):
        model = S5ForOrientedObjectDetection(config)
    tensors = (*model.parameters(), model.backbone.embeddings.cls_token)
    return f"{sum(tensor.numel() for tensor in tensors) / 1e6:.2f}"


@pytest.mark.parametrize(("size", "image_size", "several", "single"), PUBLISHED)
def test_published_parameter_counts(size, image_size, several, single):
    experts = {"num_experts": 2, "expert_channels": 256}
    if several is not None:
        vit = S5ViTConfig.from_size(size, image_size=image_size, **experts)
        assert millions(S5DetectionConfig(vit, tasks=BOTH)) == several
    assert millions(S5DetectionConfig(S5ViTConfig.from_size(size, image_size=image_size), tasks=DIOR)) == single


def test_tasks_keep_their_order_on_disk(tmp_path):
    tasks = {"zebra": ["stripe"], "apple": ["core", "peel"]}
    S5DetectionConfig(tasks=tasks, anchor_ratios=(0.4, 1.0)).save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert type(config) is S5DetectionConfig
    assert list(config.tasks.items()) == list(tasks.items())
    assert config.anchor_ratios == [0.4, 1.0]


def test_one_task_has_labels_as_everywhere(tmp_path):
    config = S5DetectionConfig(tasks={"port": ["quay", "ship"]})
    assert config.id2label == {0: "quay", 1: "ship"} and config.num_labels == 2
    assert S5DetectionConfig(num_labels=5).tasks == {"detection": [f"LABEL_{index}" for index in range(5)]}
    S5ForOrientedObjectDetection(micro_detection_config()).save_pretrained(tmp_path)
    named = AutoConfig.from_pretrained(tmp_path, id2label={0: "a", 1: "b", 2: "c"})
    assert named.tasks == {"vehicles": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": {}}, "tasks is empty"),
        ({"tasks": {"a": []}}, "task 'a' needs at least one label"),
        ({"tasks": {"a": ["x", "x"]}}, "task 'a' repeats a label"),
        ({"tasks": [{"name": "a", "labels": ["x"]}] * 2}, "two tasks share a name"),
        ({"tasks": DETECTION_TASKS, "backbone_config": S5ViTConfig(num_experts=3)}, "3 experts but there are 2 tasks"),
        ({"roi_delta_stds": [1, 1, 1, 1]}, "roi_delta_stds needs 5 numbers"),
        ({"rpn_delta_stds": [1] * 5}, "rpn_delta_stds needs 6 numbers"),
        ({"anchor_ratios": []}, "anchor_ratios is empty"),
    ],
)
def test_unfit_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        S5DetectionConfig(**settings)
