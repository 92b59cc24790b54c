"""Number formats, and what `auto` stands for."""

from inspect import signature

import pytest
import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from s5_hf.commands.predict import predict
from s5_hf.predictors.precision import has_native_bf16, resolve_precision
from s5_hf.predictors.torch_segmenter import TorchSegmenter, load_segmenters
from s5_hf.scenes import segment_scene, segment_scenes
from tests.scenes.segmenters import PixelSegmenter


@pytest.fixture
def capabilities(monkeypatch):
    """What the processor is said to have; nothing to begin with."""
    found = {}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    return found


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", "sve_bf16", "bf16"])
def test_auto_is_bf16_where_the_processor_has_it(capabilities, name):
    assert resolve_precision("auto", "cpu") == "fp32"
    capabilities[name] = True
    assert resolve_precision("auto", "cpu") == "bf16"
    capabilities[name] = False
    capabilities["avx512_f"] = True
    assert resolve_precision("auto", torch.device("cpu")) == "fp32"


def test_auto_gpu_is_bf16_on_a_gpu_that_has_it_and_float32_elsewhere(capabilities, monkeypatch):
    capabilities["avx512_bf16"] = True
    assert resolve_precision("auto-gpu", "cpu") == "fp32"
    for native in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, native=native: native)
        assert resolve_precision("auto-gpu", "cuda:1") == ("bf16" if native else "fp32")
    assert resolve_precision("auto-gpu", "mps") == "fp32"


@pytest.mark.parametrize("function", [segment_scene, segment_scenes, predict])
def test_maps_of_scenes_take_bf16_on_a_gpu(function):
    assert signature(function).parameters["precision"].default == "auto-gpu"


def test_auto_is_float32_where_nobody_can_say(capabilities, monkeypatch):
    capabilities["avx512_bf16"] = True
    assert not has_native_bf16("meta")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not has_native_bf16("cpu")
    monkeypatch.undo()
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)  # as in older releases of torch
    assert not has_native_bf16("cpu")


def test_what_was_asked_for_is_kept(capabilities):
    assert [resolve_precision(name, "cpu") for name in ("fp32", "bf16")] == ["fp32", "bf16"]
    with pytest.raises(ValueError, match="one of fp32, bf16, auto, auto-gpu, got 'fp16'"):
        resolve_precision("fp16", "cpu")


def test_a_segmenter_has_the_precision_that_auto_became(capabilities):
    torch.manual_seed(0)
    config = SegformerConfig(
        depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8, num_labels=3
    )
    model, pixels = SegformerForSemanticSegmentation(config), torch.randn(1, 3, 32, 32)
    plain, without = (TorchSegmenter(model, precision=name) for name in ("fp32", "auto"))
    capabilities["avx512_bf16"] = True
    fast, native = (TorchSegmenter(model, precision=name) for name in ("bf16", "auto"))
    assert [segmenter.precision for segmenter in (plain, without, fast, native)] == ["fp32", "fp32", "bf16", "bf16"]
    assert torch.equal(without.predict(pixels), plain.predict(pixels)) and without.fingerprint == plain.fingerprint
    assert torch.equal(native.predict(pixels), fast.predict(pixels)) and native.fingerprint == fast.fingerprint
    assert not torch.equal(native.predict(pixels), plain.predict(pixels))


def test_auto_leaves_other_segmenters_as_they_are():
    segmenter = PixelSegmenter(3)
    for precision in ("auto", "auto-gpu"):
        assert load_segmenters(segmenter, precision=precision) == [segmenter]
    with pytest.raises(ValueError, match="precision are options of torch models"):
        load_segmenters(segmenter, precision="bf16")
