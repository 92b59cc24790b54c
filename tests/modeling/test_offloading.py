"""Weights that are elsewhere until a module is called: offloading, adapters, hooks."""

import pytest
import torch
from torch import nn

from s5_hf.modeling import S5ForOrientedObjectDetection, S5ForSemanticSegmentation
from s5_hf.modeling.configuration_s5 import DECODERS
from s5_hf.modeling.upernet import PyramidConvolution, convolution
from tests.conftest import micro_segmentation_config, randomise
from tests.modeling.detection_models import micro_detection_config


@pytest.fixture
def images():
    return torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(1))


def saved_segmenter(folder, num_experts=0):
    model = randomise(S5ForSemanticSegmentation(micro_segmentation_config(num_experts))).eval()
    model.save_pretrained(folder)
    return model


def half_offloaded(model, folder):
    """A model read from `folder/model` with room for about half of it on the CPU; the rest lies on the disk."""
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    offloaded = type(model).from_pretrained(
        folder / "model",
        device_map="auto",
        max_memory={"cpu": size // 2, "disk": 10 * size},
        offload_folder=folder / "offload",
    )
    assert set(map(str, offloaded.hf_device_map.values())) == {"cpu", "disk"}
    return offloaded


@torch.no_grad()
@pytest.mark.parametrize("place", ["cpu", "disk"])
def test_a_decoder_that_is_offloaded_gives_the_same_logits(tmp_path, images, place):
    model = saved_segmenter(tmp_path / "model")
    device_map = {"backbone": "cpu", "decoders": place, "classifiers": place, "dropout": "cpu"}
    offloaded = S5ForSemanticSegmentation.from_pretrained(
        tmp_path / "model", device_map=device_map, offload_folder=tmp_path / "offload"
    )
    assert offloaded.decoders[0].fusion.conv.weight.is_meta == (place == "disk")
    torch.testing.assert_close(offloaded(images).logits, model(images).logits, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("num_experts", [0, 2])
def test_an_automatic_device_map_gives_the_same_logits(tmp_path, images, num_experts):
    model = saved_segmenter(tmp_path / "model", num_experts)
    task = {"task": ["roads", "fields"]} if num_experts else {}
    offloaded = half_offloaded(model, tmp_path)
    for found, expected in zip(offloaded(images, **task).logits, model(images, **task).logits, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_automatic_device_map_of_a_detector_gives_the_same_predictions(tmp_path):
    model = randomise(S5ForOrientedObjectDetection(micro_detection_config())).eval()
    model.save_pretrained(tmp_path / "model")
    offloaded = half_offloaded(model, tmp_path)
    images = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    found, expected = offloaded(images), model(images)
    torch.testing.assert_close(found.logits[0], expected.logits[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "model_class", [S5ForSemanticSegmentation, S5ForOrientedObjectDetection], ids=["segmenter", "detector"]
)
def test_modules_that_must_stay_together_exist(model_class):
    """A misspelt name would split them without a word."""
    configs = [micro_detection_config()]
    if model_class is S5ForSemanticSegmentation:
        configs = [micro_segmentation_config(use_feature_pyramid=decoder != "dpt") for decoder in DECODERS]
        for config, config.decoder in zip(configs, DECODERS, strict=True):
            config.decoder_level_channels = [16] * 4
    names = {type(module).__name__ for config in configs for module in model_class(config).modules()}
    assert set(model_class._no_split_modules) <= names


def test_an_adapter_on_every_convolution_gets_a_gradient(dense_model, images):
    peft = pytest.importorskip("peft")
    names = [name for name, module in dense_model.decoders.named_modules() if name.endswith(".conv")]
    expected = dense_model(images).logits.detach()
    settings = peft.LoraConfig(r=2, target_modules=r"decoders\..*\.conv", init_lora_weights=False)
    adapted = peft.get_peft_model(dense_model, settings)
    adapted.eval()
    adapted(pixel_values=images).logits.square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in adapted.named_parameters() if "lora_" in name}
    assert len(gradients) == 2 * len(names)
    for name, gradient in gradients.items():
        assert gradient is not None and gradient.abs().sum() > 0, name
    with torch.no_grad():
        changed = adapted(pixel_values=images).logits
        assert not torch.allclose(changed, expected, atol=1e-2)
        merged = adapted.merge_and_unload()
        assert isinstance(merged.decoders[0].fusion.conv, PyramidConvolution)
        torch.testing.assert_close(merged(images).logits, changed, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_every_module_with_weights_of_its_own_is_called(dense_model, images):
    """So that hooks fire: offloading, FSDP and ZeRO-3 bring the weights in them."""
    called = set()
    for name, module in dense_model.named_modules():
        module.register_forward_pre_hook(lambda module, arguments, name=name: called.add(name))
    dense_model(images)
    owners = {name for name, module in dense_model.named_modules() if list(module.parameters(recurse=False))}
    assert owners <= called


@torch.no_grad()
def test_the_convolution_of_a_pyramid_is_that_of_its_stack():
    generator = torch.Generator().manual_seed(0)
    fusion = convolution(12, 5, 3, PyramidConvolution).double()
    levels = [torch.randn(2, 4, *size, generator=generator, dtype=torch.float64) for size in ((8, 12), (4, 6), (2, 3))]
    enlarged = [nn.functional.interpolate(level, size=(8, 12), mode="bilinear") for level in levels]
    torch.testing.assert_close(fusion(levels), fusion(torch.cat(enlarged, dim=1)))
