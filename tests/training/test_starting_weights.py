"""Where a training starts from: what is said of a folder that is not there."""

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoBackbone, AutoConfig

from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig, S5ViTModel
from s5_hf.training.starting_weights import load_network, read_config
from tests.conftest import MICRO_VIT


def test_a_missing_folder_is_named(monkeypatch, tmp_path):
    def unreachable(*arguments, **options):
        raise OSError("We couldn't connect")

    monkeypatch.setattr(AutoConfig, "from_pretrained", unreachable)
    with pytest.raises(
        OSError, match="there is no folder lite0 here, and the Hub gave no model of that name: We could"
    ):
        read_config("lite0")
    with pytest.raises(OSError, match=r"^We couldn't connect$"):  # the folder is there, its reader speaks
        read_config(str(tmp_path))


def test_a_folder_is_read(tmp_path):
    config = AutoConfig.for_model("s5_vit", **MICRO_VIT)
    config.save_pretrained(tmp_path)
    assert read_config(str(tmp_path)).hidden_size == config.hidden_size


def test_weights_that_files_lack_are_named_and_not_drawn_except_for_a_pyramid(tmp_path):
    encoder = S5ViTModel(AutoConfig.for_model("s5_vit", **MICRO_VIT))
    encoder.save_pretrained(tmp_path)
    backbone = load_network(AutoBackbone, str(tmp_path))
    assert hasattr(backbone, "feature_pyramid")
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    lost = next(name for name in weights if name.endswith("fc1.weight"))
    save_file({name: weight for name, weight in weights.items() if name != lost}, path, {"format": "pt"})
    with pytest.raises(ValueError, match=rf"files lack weights of the S5ViTBackbone; missing \(1\): {lost}$"):
        load_network(AutoBackbone, str(tmp_path))


def test_a_whole_network_without_its_pyramid_is_refused(tmp_path):
    backbone = AutoConfig.for_model("s5_vit", **MICRO_VIT)
    S5ForSemanticSegmentation(
        S5SegmentationConfig(backbone_config=backbone, tasks={"land": ["a", "b"]}, decoder_channels=8)
    ).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = {name: weight for name, weight in load_file(path).items() if "feature_pyramid" not in name}
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(ValueError, match=r"files lack weights .* missing \(8\): backbone\.feature_pyramid"):
        load_network(S5ForSemanticSegmentation, str(tmp_path))
