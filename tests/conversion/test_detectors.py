"""Official detection checkpoints: there and back, names, what is refused."""

import inspect

import pytest
import torch
from transformers import AutoConfig, AutoModelForObjectDetection
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.conversion import convert_checkpoint, export_official
from s5_hf.conversion.official_layout import detector_name
from s5_hf.hub import KNOWN_MODELS
from s5_hf.modeling import S5DetectionConfig, S5ForOrientedObjectDetection
from tests.conftest import randomise
from tests.modeling.detection_models import MICRO_DETECTOR, micro_detection_config

PUBLISHED = {
    name: inspect.signature(S5DetectionConfig).parameters[name].default
    for name in MICRO_DETECTOR
    if name not in ("fpn_channels", "roi_channels")
}


def state_of(path):
    return torch.load(path, weights_only=True)["state_dict"]


def test_the_official_file_comes_back_byte_for_byte(official_fixtures, tmp_path):
    report = convert_checkpoint(official_fixtures.checkpoint("det_micro"), tmp_path / "folder", num_attention_heads=4)
    assert report.kind == "MoE-MDF detector" and report.left_out == report.new == []
    export_official(tmp_path / "folder", tmp_path / "back.pth")
    original, back = state_of(official_fixtures.checkpoint("det_micro")), state_of(tmp_path / "back.pth")
    assert set(back) == set(original)
    for key, tensor in original.items():
        assert back[key].dtype == tensor.dtype and torch.equal(back[key], tensor), key


def test_every_tensor_of_the_release_has_its_place(official_fixtures):
    """Names and shapes of the official ViT-B detector, as `s5-vit-b-moe-det` makes them."""
    entries = official_fixtures.entries("det_vit_b_moe_mtd")
    config = KNOWN_MODELS["s5-vit-b-moe-det"].config
    with torch.device("meta"):
        model = S5ForOrientedObjectDetection(config)
    ours = {detector_name(name, list(config.tasks)): list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert ours == {entry["key"]: entry["shape"] for entry in entries}


@pytest.mark.parametrize(("num_experts", "kind"), [(2, "MoE-MDF detector"), (0, "S5 detector")])
def test_every_kind_is_recognised_and_restored(tmp_path, num_experts, kind):
    model = randomise(S5ForOrientedObjectDetection(micro_detection_config(num_experts, **PUBLISHED)))
    model.save_pretrained(tmp_path / "source")
    export_official(tmp_path / "source", tmp_path / "official.pth")
    report = convert_checkpoint(tmp_path / "official.pth", tmp_path / "again", num_attention_heads=4)
    assert report.kind == kind
    restored = AutoModelForObjectDetection.from_pretrained(tmp_path / "again")
    assert restored.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(restored.state_dict()[name], tensor), name


def test_tasks_of_single_detectors(tmp_path):
    model = S5ForOrientedObjectDetection(micro_detection_config(**PUBLISHED))
    model.save_pretrained(tmp_path / "source")
    official = export_official(tmp_path / "source", tmp_path / "official.pth")
    assert "roi_head.bbox_head.fc_cls.weight" in state_of(official)
    plain = convert_checkpoint(official, tmp_path / "a", num_attention_heads=4).config.tasks
    assert plain == {"detection": ["class_0", "class_1", "class_2"]}
    settings = {"num_attention_heads": 4, "task": "port", "labels": ["quay", "ship", "crane"]}
    assert convert_checkpoint(official, tmp_path / "b", **settings).config.tasks == {"port": settings["labels"]}
    with pytest.raises(ValueError, match="got 1 labels for a checkpoint of 3 classes"):
        convert_checkpoint(official, tmp_path / "c", num_attention_heads=4, labels=["quay"])
    assert not (tmp_path / "c").exists()


def test_several_tasks_name_themselves(official_fixtures, tmp_path):
    checkpoint = official_fixtures.checkpoint("det_micro")
    with pytest.raises(ValueError, match=r"names its tasks itself \(dior, dota\): leave out task and labels"):
        convert_checkpoint(checkpoint, tmp_path / "a", num_attention_heads=4, task="dior")


def test_a_missing_tensor_is_named(official_fixtures, tmp_path):
    content = torch.load(official_fixtures.checkpoint("det_micro"), weights_only=True)
    del content["state_dict"]["rpn_head_dota.rpn_cls.bias"]
    torch.save(content, tmp_path / "broken.pth")
    with pytest.raises(ValueError, match=r"missing \(1\): rpn_head_dota.rpn_cls.bias"):
        convert_checkpoint(tmp_path / "broken.pth", tmp_path / "a", num_attention_heads=4)


def test_convert_from_the_command_line(official_fixtures, tmp_path):
    arguments = [
        str(official_fixtures.checkpoint("det_micro")),
        str(tmp_path / "folder"),
        "--num-attention-heads",
        "4",
    ]
    result = CliRunner().invoke(app, ["convert", *arguments])
    assert result.exit_code == 0, result.output
    assert "recognised: MoE-MDF detector" in result.output
    assert "task dota: 18 classes (large-vehicle, " in result.output
    back = CliRunner().invoke(app, ["convert", str(tmp_path / "folder"), str(tmp_path / "back.pth")])
    assert back.exit_code == 0 and "official layout" in back.output


def test_names_give_configurations():
    config = AutoConfig.from_pretrained("s5-vit-l-moe-det")
    assert list(config.tasks) == ["dior", "dota"]
    assert config.backbone_config.image_size == 1024 and config.backbone_config.num_experts == 2
    assert config.anchor_scale == 8 and config.finest_scale == 56


def test_settings_that_the_official_detectors_cannot_hold_are_refused_by_name(tmp_path):
    S5ForOrientedObjectDetection(micro_detection_config(**PUBLISHED, anchor_ratios=[0.4, 1.0, 2.0])).save_pretrained(
        tmp_path / "source"
    )
    with pytest.raises(ValueError, match=r"anchor_ratios is \[0\.4, 1\.0, 2\.0\] and would be read as \[0\.5, 1"):
        export_official(tmp_path / "source", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()
