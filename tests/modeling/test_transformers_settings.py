"""Settings that transformers offers for every model act on these, too: attention, outputs, types, configurations."""

import pytest
import torch
from transformers import AutoModelForSemanticSegmentation

from s5_hf.modeling import (
    S5DetectionConfig,
    S5ForOrientedObjectDetection,
    S5ForSemanticSegmentation,
    S5SegmentationConfig,
    S5ViTBackbone,
    S5ViTConfig,
    S5ViTModel,
)
from s5_hf.modeling import modeling_s5_vit as vit_module
from tests.conftest import MICRO_TASKS, MICRO_VIT, micro_segmentation_config, randomise
from tests.modeling.detection_models import DETECTION_TASKS, micro_detection_config


@pytest.fixture
def images():
    return torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def eager_calls(monkeypatch):
    """How often the written-out attention has run, as a list that grows."""
    calls = []
    original = vit_module.eager_attention_forward

    def counted(*arguments, **settings):
        calls.append(1)
        return original(*arguments, **settings)

    monkeypatch.setattr(vit_module, "eager_attention_forward", counted)
    return calls


BUILDERS = {
    "encoder": lambda: S5ViTModel(S5ViTConfig(**MICRO_VIT)),
    "backbone": lambda: S5ViTBackbone(S5ViTConfig(**MICRO_VIT)),
    "segmenter": lambda: S5ForSemanticSegmentation(micro_segmentation_config()),
    "detector": lambda: S5ForOrientedObjectDetection(micro_detection_config()),
}


@torch.no_grad()
@pytest.mark.parametrize("kind", BUILDERS)
def test_set_attn_implementation_acts(kind, images, eager_calls):
    model = randomise(BUILDERS[kind]()).eval()
    model(images)
    assert eager_calls == []
    model.set_attn_implementation("eager")
    assert model.config._attn_implementation == "eager"
    model(images)
    assert len(eager_calls) == 4, "once per block"
    model.set_attn_implementation("sdpa")
    model(images)
    assert len(eager_calls) == 4


def test_an_unknown_attention_is_refused(dense_model):
    with pytest.raises((ValueError, KeyError, ImportError)):
        dense_model.set_attn_implementation("nonsense")
    assert dense_model.backbone.config._attn_implementation == "sdpa"


def attention_of(model):
    return model.config._attn_implementation, model.backbone.config._attn_implementation


def eager_segmenter(num_experts=0):
    model = S5ForSemanticSegmentation(micro_segmentation_config(num_experts))
    model.set_attn_implementation("eager")
    return model


def test_merged_models_keep_the_attention(images):
    assert attention_of(eager_segmenter(2).merge_experts("roads")) == ("eager", "eager")
    detector = S5ForOrientedObjectDetection(micro_detection_config(2))
    detector.set_attn_implementation("eager")
    assert attention_of(detector.merge_experts("roofs")) == ("eager", "eager")
    assert attention_of(S5ForSemanticSegmentation(micro_segmentation_config(2)).merge_experts("roads"))[0] == "sdpa"


def test_models_started_from_a_dense_one_keep_the_attention():
    dense = eager_segmenter()
    assert attention_of(S5ForSemanticSegmentation.from_dense(dense, MICRO_TASKS, 8)) == ("eager", "eager")
    assert attention_of(S5ForOrientedObjectDetection.from_dense(dense, DETECTION_TASKS, 8)) == ("eager", "eager")
    encoder = dense.backbone
    assert attention_of(S5ForOrientedObjectDetection.from_dense(encoder, DETECTION_TASKS, 8)) == ("eager", "eager")
    assert dense.config._attn_implementation == "eager", "the source is not changed"


@pytest.mark.parametrize("model_class", [S5ForSemanticSegmentation, S5ForOrientedObjectDetection])
def test_models_on_a_backbone_keep_its_attention(model_class):
    backbone = S5ViTBackbone(S5ViTConfig(**MICRO_VIT))
    backbone.set_attn_implementation("eager")
    assert attention_of(model_class.from_backbone(backbone, {"a": ["x", "y"]})) == ("eager", "eager")


@torch.no_grad()
@pytest.mark.parametrize("kind", ["segmenter", "detector"])
def test_outputs_that_the_configuration_asks_for_are_returned(kind, images):
    model = BUILDERS[kind]().eval()
    silent = model(images)
    assert silent.hidden_states is None and silent.attentions is None
    model.set_attn_implementation("eager")
    model.config.output_hidden_states = True
    model.config.output_attentions = True
    output = model(images)
    assert len(output.hidden_states) == 5 and len(output.attentions) == 4
    off = model(images, output_hidden_states=False, output_attentions=False)
    assert off.hidden_states is None and off.attentions is None


@torch.no_grad()
def test_outputs_that_the_loading_asks_for_are_returned(dense_model, images, tmp_path):
    dense_model.save_pretrained(tmp_path)
    loaded = AutoModelForSemanticSegmentation.from_pretrained(tmp_path, output_hidden_states=True)
    assert len(loaded(images).hidden_states) == 5


@torch.no_grad()
@pytest.mark.parametrize("kind", BUILDERS)
def test_models_in_bfloat16_take_float32_images(kind, images):
    model = randomise(BUILDERS[kind]()).eval().to(torch.bfloat16)
    names = ("last_hidden_state", "feature_maps", "logits")
    from_float, from_half = model(images), model(images.to(torch.bfloat16))
    for name in names:
        if getattr(from_float, name, None) is not None:
            for found, expected in zip(getattr(from_float, name), getattr(from_half, name), strict=True):
                assert torch.equal(found, expected)


@pytest.mark.parametrize("kind", BUILDERS)
def test_images_that_are_no_floats_are_refused(kind, images):
    model = BUILDERS[kind]().eval()
    with pytest.raises(
        ValueError, match=r"pixel_values has the type torch\.uint8, expected normalised floating-point"
    ):
        model(images.to(torch.uint8))


def test_a_published_size_with_another_depth_has_the_taps_of_that_depth():
    config = S5ViTConfig.from_size("ti", num_hidden_layers=4)
    assert config.num_hidden_layers == 4 and config.out_indices == [1, 2, 3, 4]
    assert S5ViTConfig.from_size("ti", num_hidden_layers=24).out_indices == [8, 12, 16, 24]
    assert S5ViTConfig.from_size("ti", num_hidden_layers=6, out_indices=[0, 2, 4, 6]).out_indices == [0, 2, 4, 6]
    assert S5ViTConfig.from_size("ti", out_features=["stem", "stage4"]).out_indices == [0, 4]
    assert S5ViTConfig.from_size("l").out_indices == [8, 12, 16, 24]
    S5ViTBackbone(S5ViTConfig.from_size("ti", num_hidden_layers=4, image_size=32))


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (lambda: S5SegmentationConfig(tasks=MICRO_TASKS), 5),
        (lambda: S5DetectionConfig(tasks=DETECTION_TASKS), 4),
        (lambda: S5SegmentationConfig(tasks={"fields": ["soil", "crop", "water"]}), 3),
    ],
)
def test_num_labels_counts_the_labels_of_all_tasks(config, count, tmp_path):
    config = config()
    assert config.num_labels == count
    config.save_pretrained(tmp_path)
    assert type(config).from_pretrained(tmp_path).num_labels == count


def test_num_labels_of_several_tasks_cannot_be_set(tmp_path):
    config = S5SegmentationConfig(tasks=MICRO_TASKS)
    with pytest.raises(ValueError, match=r"num_labels cannot be set to 7: there are several tasks \(fields, roads\)"):
        config.num_labels = 7
    config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="num_labels cannot be set"):
        S5SegmentationConfig.from_pretrained(tmp_path, num_labels=7)


def test_id2label_of_several_tasks_cannot_be_given(moe_model, tmp_path):
    moe_model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"id2label was given, but there are several tasks \(fields, roads\)"):
        S5ForSemanticSegmentation.from_pretrained(tmp_path, id2label={0: "a", 1: "b"})


@pytest.mark.parametrize("value", ["32", 32.5, 0, -1, True, None])
@pytest.mark.parametrize("name", ["hidden_size", "num_hidden_layers", "patch_size"])
def test_sizes_that_are_no_whole_numbers_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"{name} is .*, expected a whole number from 1 on"):
        S5ViTConfig(**{**MICRO_VIT, name: value})


@pytest.mark.parametrize("kind", ["segmenter", "detector"])
def test_the_saved_configuration_does_not_depend_on_how_the_backbone_was_saved_before(kind, tmp_path):
    model = BUILDERS[kind]()
    model.save_pretrained(tmp_path / "first")
    model.backbone.save_pretrained(tmp_path / "encoder")
    model.save_pretrained(tmp_path / "second")
    type(model).from_pretrained(tmp_path / "second").save_pretrained(tmp_path / "third")
    on_encoder = type(model).from_backbone(str(tmp_path / "encoder"), model.config.tasks)
    text = (tmp_path / "first" / "config.json").read_text()
    for name in ("second", "third"):
        assert (tmp_path / name / "config.json").read_text() == text
    on_encoder.save_pretrained(tmp_path / "fourth")
    assert str(tmp_path) not in (tmp_path / "fourth" / "config.json").read_text()
