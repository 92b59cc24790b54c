"""Three ways to keep or recompute activations: the same gradients, with less and less memory."""

from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from s5_hf.modeling import S5ViTBackbone, S5ViTConfig
from s5_hf.predictors import processor_kernels
from s5_hf.predictors.processor_kernels import ProcessorKernels
from s5_hf.training.detection.recipe import DetectionModelSettings
from s5_hf.training.pretraining.recipe import PretrainingModelSettings, PretrainingRecipe
from s5_hf.training.roads.recipe import RoadModelSettings
from s5_hf.training.segmentation.recipe import SegmentationModelSettings
from s5_hf.training.selective_checkpointing import checkpointing_arguments


class CountedCalls(TorchDispatchMode):
    """Counts matrix products, activation functions and attention head by head."""

    def __init__(self):
        super().__init__()
        self.products = self.activations = self.attentions = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.products += name in ("addmm", "mm", "bmm", "linear_by_onednn")
        self.activations += name == "gelu"
        self.attentions += name == "attention_by_head"
        return func(*args, **(kwargs or {}))


def step(kind, images, bf16=False, kernels=False):
    """Gradients of a small backbone, which made pseudo-labels before, and the calls of the backward pass."""
    torch.manual_seed(0)
    config = S5ViTConfig(hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=32, drop_path_rate=0.5)
    backbone = S5ViTBackbone(config).train()
    arguments = checkpointing_arguments(kind)
    if arguments is not None:
        backbone.gradient_checkpointing_enable(gradient_checkpointing_kwargs=arguments)
    with ProcessorKernels() if kernels else nullcontext():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            with torch.no_grad():
                backbone(images)  # autocast keeps the weights that it converts here
            loss = sum(level.square().mean() for level in backbone(images).feature_maps)
        with CountedCalls() as calls:
            loss.backward()
    return torch.cat([value.grad.flatten() for value in backbone.parameters() if value.grad is not None]), calls


@pytest.mark.parametrize("kernels", [False, True])
@pytest.mark.parametrize("bf16", [False, True])
def test_gradients_are_the_same_and_products_are_not_repeated(monkeypatch, bf16, kernels):
    monkeypatch.setattr(processor_kernels, "_WORTHWHILE", 0)
    monkeypatch.setattr(processor_kernels, "_pays_by_head", lambda query, key: True)
    monkeypatch.setattr(processor_kernels, "onednn_is_faster", torch.backends.mkldnn.is_available)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain, plain_calls = step("false", images, bf16, kernels)
    for kind in ("true", "selective"):
        gradients, calls = step(kind, images, bf16, kernels)
        assert torch.equal(gradients, plain)
        assert calls.activations == plain_calls.activations + 4
        repeated = calls.products - plain_calls.products  # of qkv, projection, fc1 and fc2 of four blocks
        assert repeated >= 12 if kind == "true" else repeated == 0
        assert calls.attentions == (4 if kind == "true" and kernels else 0)


@pytest.mark.parametrize(
    ("value", "expected"), [(True, "true"), (False, "false"), ("Selective", "selective"), ("true", "true")]
)
@pytest.mark.parametrize(
    "settings", [PretrainingModelSettings, SegmentationModelSettings, DetectionModelSettings, RoadModelSettings]
)
def test_values_of_a_recipe(settings, value, expected):
    assert settings(gradient_checkpointing=value).gradient_checkpointing == expected


@pytest.mark.parametrize("kind", ["False", "some"])
def test_other_kinds_are_refused(kind):
    with pytest.raises(ValueError, match=f"must be false, true or selective, got '{kind}'"):
        checkpointing_arguments(kind)


def test_values_of_a_command_line():
    assert PretrainingRecipe.read(["--gradient_checkpointing"]).model.gradient_checkpointing == "true"
    assert PretrainingRecipe.read([]).model.gradient_checkpointing == "false"
    with pytest.raises(ValueError, match="one of false, true, selective, got 'some'"):
        PretrainingRecipe.read(["--gradient_checkpointing", "some"])
