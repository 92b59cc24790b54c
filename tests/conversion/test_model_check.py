"""Loading refuses models that are not whole: missing, misshapen, superfluous or broken weights."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSemanticSegmentation

from s5_hf.conversion.model_check import load_checked, require_finite_weights
from s5_hf.modeling import S5ForSemanticSegmentation


@pytest.fixture
def folder(dense_model, tmp_path):
    dense_model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def change_config(folder, change):
    settings = json.loads((folder / "config.json").read_text())
    change(settings)
    (folder / "config.json").write_text(json.dumps(settings))


def change_weights(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("model_class", [S5ForSemanticSegmentation, AutoModelForSemanticSegmentation])
def test_a_whole_model_is_loaded_as_it_is(folder, dense_model, model_class):
    loaded = load_checked(model_class, folder)
    assert not loaded.training
    for name, tensor in dense_model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_weights_missing_from_the_file_are_refused_by_name(folder, caplog):
    change_config(folder, lambda settings: settings["backbone_config"].update(num_hidden_layers=6))
    with pytest.raises(ValueError, match=r"model: .*missing \(24\): backbone\.encoder\.layers\.4\.") as caught:
        load_checked(AutoModelForSemanticSegmentation, folder)
    assert "\n" not in str(caught.value)
    assert not caplog.records


def test_weights_of_another_shape_are_refused_by_name(folder):
    change_config(folder, lambda settings: settings.update(decoder_channels=8))
    with pytest.raises(ValueError, match=r"of another shape .*classifiers\.0\.weight \(3, 16, 1, 1\) instead of"):
        load_checked(S5ForSemanticSegmentation, folder)


def test_weights_without_a_place_are_refused_by_name(folder):
    change_weights(folder, lambda state: state.update({"decoders.1.fusion.conv.weight": torch.zeros(1)}))
    with pytest.raises(ValueError, match=r"without a place \(1\): decoders\.1\.fusion\.conv\.weight"):
        load_checked(S5ForSemanticSegmentation, folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["classifiers.0.bias", "decoders.0.fusion.norm.running_var"])
def test_weights_that_are_not_finite_are_refused_by_name(folder, value, name):
    change_weights(folder, lambda state: state[name].view(-1)[0].fill_(value))
    with pytest.raises(ValueError, match=rf"not finite \(1\): {name}"):
        load_checked(S5ForSemanticSegmentation, folder)


def test_a_truncated_file_of_weights_is_refused_by_name(folder):
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match=rf"{folder}: the file of the weights is damaged"):
        load_checked(S5ForSemanticSegmentation, folder)


def test_finite_weights_of_a_model_in_memory_pass(dense_model):
    require_finite_weights(dense_model, "the model")
    with torch.no_grad():
        dense_model.classifiers[0].weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"the model: .*classifiers\.0\.weight"):
        require_finite_weights(dense_model, "the model")
