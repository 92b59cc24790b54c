"""Configurations: published sizes, tasks in order, what a user may set and what is refused."""

import pytest
import torch
from transformers import AutoConfig, SwinConfig

from s5_hf.conversion.official_tasks import MOE_MDF_TASKS, task_settings
from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig, S5ViTBackbone, S5ViTConfig
from tests.conftest import MICRO_VIT


def millions(model_class, config):
    """Parameters in millions, with the two tensors that the official code stores and never uses."""
    with torch.device("meta"):
        model = model_class(config)
    unused = (buffer for name, buffer in model.named_buffers() if "cls_token" in name or "unused" in name)
    return sum(tensor.numel() for tensor in (*model.parameters(), *unused)) / 1e6


def numbered(count):
    return [f"class_{index}" for index in range(count)]


FOUR_TASKS = {name: task_settings(name)["labels"] for name in MOE_MDF_TASKS}

# official-release.md, table "Parameters (M)"
PUBLISHED = [
    ("b", {"a": numbered(5)}, 0, 103.155),
    ("l", {"a": numbered(5)}, 0, 327.425),
    ("h", {"a": numbered(5)}, 0, 663.380),
    ("b", {"isaid": numbered(16)}, 0, 103.158),
    ("l", {"isaid": numbered(16)}, 0, 327.427),
    ("h", {"isaid": numbered(16)}, 0, 663.383),
    ("b", FOUR_TASKS, 0, 132.081),
    ("l", FOUR_TASKS, 0, 359.496),
    ("h", FOUR_TASKS, 0, 698.598),
    ("b", FOUR_TASKS, 256, 160.402),
    ("l", FOUR_TASKS, 256, 435.012),
    ("h", FOUR_TASKS, 256, 824.451),
    ("b", FOUR_TASKS, 128, 146.242),
    ("b", FOUR_TASKS, 512, 188.723),
]


@pytest.mark.parametrize(("size", "tasks", "expert_channels", "expected"), PUBLISHED)
def test_published_parameter_counts(size, tasks, expert_channels, expected):
    experts = {"num_experts": len(tasks), "expert_channels": expert_channels} if expert_channels else {}
    config = S5SegmentationConfig(backbone_config=S5ViTConfig.from_size(size, **experts), tasks=tasks)
    assert millions(S5ForSemanticSegmentation, config) == pytest.approx(expected, abs=0.001)


def test_published_encoder_count():
    assert millions(S5ViTBackbone, S5ViTConfig.from_size("b")) == pytest.approx(93.514, abs=0.001)


@pytest.mark.parametrize(
    ("size", "taps"), [("b", [3, 5, 7, 11]), ("l", [7, 11, 15, 23]), ("h", [15, 23, 27, 31]), ("ti", [3, 5, 7, 11])]
)
def test_published_taps(size, taps):
    config = S5ViTConfig.from_size(size)
    assert config.out_indices == [tap + 1 for tap in taps]
    assert config.out_features == [f"stage{tap + 1}" for tap in taps]


def test_tasks_keep_their_order_through_json(tmp_path):
    config = S5SegmentationConfig(
        backbone_config=S5ViTConfig(**MICRO_VIT, num_experts=2, expert_channels=8),
        tasks={"zebra": ["b", "a"], "ant": ["x", "y", "z"]},
        ignore_index={"zebra": 7},
    )
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert list(loaded.tasks.items()) == [("zebra", ["b", "a"]), ("ant", ["x", "y", "z"])]
    assert loaded.ignore_index_of("zebra") == 7
    assert loaded.ignore_index_of("ant") == 255
    assert loaded.backbone_config.num_experts == 2


def test_a_single_task_follows_id2label(tmp_path):
    S5SegmentationConfig(backbone_config=S5ViTConfig(**MICRO_VIT), tasks={"loveda": ["a", "b", "c"]}).save_pretrained(
        tmp_path
    )
    loaded = AutoConfig.from_pretrained(tmp_path, id2label={0: "ground", 1: "road"})
    assert loaded.tasks == {"loveda": ["ground", "road"]}
    assert loaded.num_labels == 2
    renamed = AutoConfig.from_pretrained(tmp_path, tasks={"mine": ["p", "q"]})
    assert renamed.id2label == {0: "p", 1: "q"}
    assert renamed.label2id == {"p": 0, "q": 1}


def test_sub_configuration_takes_part_in_settings(tmp_path):
    S5SegmentationConfig(backbone_config=S5ViTConfig(**MICRO_VIT)).save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path, backbone_config={"drop_path_rate": 0.0})
    assert loaded.backbone_config.drop_path_rate == 0.0
    assert loaded.backbone_config.hidden_size == 32
    eager = AutoConfig.from_pretrained(tmp_path, attn_implementation="eager")
    assert eager.backbone_config._attn_implementation == "eager"


def test_backbone_of_another_family():
    config = S5SegmentationConfig(backbone_config=SwinConfig(embed_dim=8).to_dict())
    assert config.backbone_config.model_type == "swin"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": {}}, "tasks is empty"),
        ({"tasks": {"a": ["only"]}}, "task 'a' needs at least two labels"),
        ({"tasks": {"a": ["x", "x"]}}, "task 'a' repeats a label"),
        ({"tasks": [{"name": "a", "labels": ["x", "y"]}] * 2}, "two tasks share a name"),
        ({"backbone_config": {"model_type": "nonesuch"}}, "'nonesuch', which transformers does not know"),
        (
            {"backbone_config": S5ViTConfig(**MICRO_VIT, num_experts=3, expert_channels=8)},
            "3 experts but there are 1 tasks",
        ),
    ],
)
def test_unfit_segmentation_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        S5SegmentationConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 30}, "hidden_size 30 is not a multiple of num_attention_heads 12"),
        ({"image_size": 500}, "image_size 500 is not a multiple of patch_size 16"),
        ({"num_experts": 2, "expert_channels": 768}, "expert_channels must lie between 1 and hidden_size - 1 = 767"),
    ],
)
def test_unfit_vit_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        S5ViTConfig(**settings)


def test_unknown_size_lists_the_known():
    with pytest.raises(ValueError, match="unknown ViT size 'g'; known sizes: ti, s, b, l, h"):
        S5ViTConfig.from_size("g")


def test_labels_of_official_tasks_come_from_the_registry():
    assert task_settings("loveda")["labels"][5] == "forest"
    assert task_settings("potsdam")["ignore_index"] == 5
    assert task_settings("loveda", 3)["labels"] == ["class_0", "class_1", "class_2"]
    with pytest.raises(ValueError, match="'coast' is not an official task"):
        task_settings("coast")
