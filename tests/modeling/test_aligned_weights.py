"""Where weights lie in memory, and that it does not matter."""

import copy
import os

import pytest
import torch

from s5_hf.modeling import S5ForSemanticSegmentation
from s5_hf.modeling.aligned_weights import ALIGNMENT, align_weights
from tests.conftest import micro_segmentation_config, randomise
from tests.shifted_weights import VARIABLE, shifted, shifted_parameters

shifting = bool(os.environ.get(VARIABLE))


def offsets(model):
    return {tensor.data_ptr() % ALIGNMENT for tensor in model.parameters()}


def put_elsewhere(model, first_turn=0):
    for turn, parameter in enumerate(model.parameters(), start=first_turn):
        parameter.data = shifted(parameter.data, turn)
    return model


@pytest.fixture
def folder(dense_model, tmp_path):
    dense_model.save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.skipif(shifting, reason="this run shifts them")
def test_loaded_weights_lie_at_multiples_of_64_bytes(folder):
    model, information = S5ForSemanticSegmentation.from_pretrained(folder, output_loading_info=True)
    assert offsets(model) == {0} and not information["missing_keys"]
    assert {buffer.data_ptr() % ALIGNMENT for buffer in model.buffers()} == {0}


@pytest.mark.skipif(shifting, reason="this run shifts them")
@torch.no_grad()
def test_a_loaded_model_gives_the_bits_of_the_saved_one(folder, dense_model):
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(S5ForSemanticSegmentation.from_pretrained(folder)(images).logits, dense_model(images).logits)


def assert_shifted(model):
    assert 0 not in offsets(model)
    assert len(offsets(model)) > 8


def test_shifted_weights_really_lie_elsewhere(folder):
    with shifted_parameters(seed=1):
        model = S5ForSemanticSegmentation(micro_segmentation_config())
        for shifted_model in (model, copy.deepcopy(model), S5ForSemanticSegmentation.from_pretrained(folder)):
            assert_shifted(shifted_model)


@pytest.mark.skipif(not shifting, reason=f"needs {VARIABLE}, as make test-kernels sets it")
def test_this_run_shifts_weights(folder, dense_model):
    assert_shifted(dense_model)
    assert_shifted(S5ForSemanticSegmentation.from_pretrained(folder))


@torch.no_grad()
def test_aligning_moves_weights_and_keeps_their_values():
    model = put_elsewhere(randomise(S5ForSemanticSegmentation(micro_segmentation_config())))
    assert 0 not in offsets(model)
    before = copy.deepcopy(model.state_dict())
    align_weights(model)
    assert offsets(model) == {0}
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@torch.no_grad()
def test_aligned_models_give_the_same_bits_wherever_their_weights_lay():
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    logits = []
    for turn in (0, 3, 7):
        model = put_elsewhere(randomise(S5ForSemanticSegmentation(micro_segmentation_config())).eval(), turn)
        align_weights(model)
        logits.append(model(images).logits)
    assert torch.equal(logits[0], logits[1]) and torch.equal(logits[0], logits[2])


def test_aligning_leaves_weights_on_other_devices_alone():
    with torch.device("meta"):
        model = S5ForSemanticSegmentation(micro_segmentation_config())
    align_weights(model)
    assert all(parameter.is_meta for parameter in model.parameters())
