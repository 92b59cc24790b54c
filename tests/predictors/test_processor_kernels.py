"""The faster ways to multiply matrices on a processor: the same results, and only where they are meant."""

import pytest
import torch
from torch.nn import functional

from s5_hf.predictors import head_attention
from s5_hf.predictors import processor_kernels as module
from s5_hf.predictors.head_attention import fused_is_faster
from s5_hf.predictors.processor_kernels import ProcessorKernels, onednn_is_faster, processor_kernels

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@pytest.fixture
def called(monkeypatch):
    """The functions that were computed the faster way, on a processor where that is oneDNN; any size is worthwhile."""
    names = []

    def recorded(function):
        def call(*args, **kwargs):
            found = function(*args, **kwargs)
            if found is not None:
                names.append(function.__name__)
            return found

        return call

    monkeypatch.setattr(module, "_FASTER", {func: recorded(faster) for func, faster in module._FASTER.items()})
    monkeypatch.setattr(module, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(module, "_WORTHWHILE", 0)
    monkeypatch.setattr(module, "_pays_by_head", lambda query, key: True)
    return names


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("shape", [(5, 12), (2, 7, 12), (2, 3, 4, 12)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_layers_and_their_gradients(called, shape, with_bias):
    torch.manual_seed(0)
    inputs = torch.randn(shape, requires_grad=True)
    layer = torch.nn.Linear(12, 9, bias=with_bias)
    expected = layer(inputs)
    variables = [inputs, *layer.parameters()]
    gradients = torch.autograd.grad(expected.square().sum(), variables)
    with ProcessorKernels():
        found = layer(inputs)
    assert called == ["_linear"] and found.layout == torch.strided and relative(found, expected) < 1e-6
    for mine, theirs in zip(torch.autograd.grad(found.square().sum(), variables), gradients, strict=True):
        assert relative(mine, theirs) < 1e-6


@pytest.mark.parametrize(
    "needed", [(True, False, False), (False, True, False), (False, False, True), (False, True, True)]
)
def test_gradients_of_some_operands_of_a_linear_layer(called, needed):
    torch.manual_seed(0)
    operands = [
        torch.randn(shape, requires_grad=wanted) for shape, wanted in zip([(5, 12), (9, 12), 9], needed, strict=True)
    ]
    wanted = [operand for operand in operands if operand.requires_grad]
    gradients = torch.autograd.grad(functional.linear(*operands).square().sum(), wanted)
    with ProcessorKernels():
        found = torch.autograd.grad(functional.linear(*operands).square().sum(), wanted)
    assert called == ["_linear"]
    for mine, theirs in zip(found, gradients, strict=True):
        assert relative(mine, theirs) < 1e-6


def test_a_linear_layer_keeps_its_operands_and_no_copies_for_its_gradient(called):
    inputs, layer = torch.randn(2, 7, 12), torch.nn.Linear(12, 9)
    kept = []
    with ProcessorKernels(), torch.autograd.graph.saved_tensors_hooks(kept.append, lambda _: None):
        layer(inputs)
    assert called == ["_linear"] and {tensor.data_ptr() for tensor in kept} == {
        inputs.data_ptr(),
        layer.weight.data_ptr(),
    }


def test_weights_of_another_class_are_left_alone(called):
    """Such as those that torchao quantises."""

    class OwnWeight(torch.Tensor):
        pass

    inputs, weight = torch.randn(3, 12), torch.randn(9, 12)
    with ProcessorKernels():
        found = functional.linear(inputs, weight.as_subclass(OwnWeight))
    assert called == [] and relative(found.as_subclass(torch.Tensor), inputs @ weight.T) < 1e-6


def test_convolutions_of_single_pixels(called, monkeypatch):
    torch.manual_seed(0)
    images, pointwise = torch.randn(2, 6, 5, 7), torch.nn.Conv2d(6, 4, 1)
    others = [torch.nn.Conv2d(6, 4, 1, stride=2), torch.nn.Conv2d(6, 4, 3), torch.nn.Conv2d(6, 4, 1, groups=2)]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    with ProcessorKernels():
        found = pointwise(images)
        assert called == ["_convolution"]
        for layer in others:
            layer(images)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
        pointwise(images)
    assert called == ["_convolution"]
    assert found.shape == (2, 4, 5, 7) and relative(found, pointwise(images)) < 1e-6


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("by_onednn", [True, False])
def test_transposed_convolutions_by_blocks_and_their_gradients(called, monkeypatch, by_onednn, with_bias):
    torch.manual_seed(0)
    monkeypatch.setattr(module, "onednn_is_faster", lambda: by_onednn)
    images = torch.randn(2, 6, 5, 7, requires_grad=True)
    layer = torch.nn.ConvTranspose2d(6, 4, 2, stride=2, bias=with_bias)
    expected = layer(images)
    variables = [images, *layer.parameters()]
    gradients = torch.autograd.grad(expected.square().sum(), variables)
    with ProcessorKernels():
        found = layer(images)
    assert called == ["_enlargement"] and found.shape == (2, 4, 10, 14) and relative(found, expected) < 1e-6
    for mine, theirs in zip(torch.autograd.grad(found.square().sum(), variables), gradients, strict=True):
        assert relative(mine, theirs) < 1e-6


def test_transposed_convolutions_in_bf16(called):
    torch.manual_seed(0)
    images, layer = torch.randn(2, 6, 5, 7, requires_grad=True), torch.nn.ConvTranspose2d(6, 4, 2, stride=2)
    variables = [images, *layer.parameters()]
    expected = layer(images)
    gradients = torch.autograd.grad(expected.square().sum(), variables)
    with ProcessorKernels(), torch.autocast("cpu", torch.bfloat16):
        found = layer(images)
    assert called == ["_enlargement"] and found.dtype == torch.bfloat16 and relative(found, expected) < 1e-2
    for mine, theirs in zip(torch.autograd.grad(found.float().square().sum(), variables), gradients, strict=True):
        assert mine.dtype == torch.float32 and relative(mine, theirs) < 2e-2


def test_transposed_convolutions_that_are_left_to_torch(called, monkeypatch):
    images, by_blocks = torch.randn(2, 6, 5, 7), torch.nn.ConvTranspose2d(6, 4, 2, stride=2)
    others = [
        torch.nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1),
        torch.nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2),
        torch.nn.ConvTranspose2d(6, 4, (2, 1), stride=(2, 1)),
        torch.nn.ConvTranspose2d(6, 4, 2, stride=2, dilation=2),
        torch.nn.ConvTranspose2d(6, 4, 3, stride=3, output_padding=1),
    ]
    with ProcessorKernels():
        for layer in others:
            layer(images)
        with torch.no_grad():
            by_blocks(images)
        monkeypatch.setattr(module, "_WORTHWHILE", images.numel() * 2 * 2 * 4 + 1)
        by_blocks(images)
    assert called == []


@pytest.mark.parametrize("scores", [2**20, 4 * 11])
@pytest.mark.parametrize(
    ("dtype", "autocast", "fused", "rounding"),
    [
        (torch.bfloat16, False, False, 1.5e-2),
        (torch.bfloat16, True, False, 1.5e-2),
        (torch.bfloat16, True, True, 1.5e-2),
        (torch.float32, False, True, 1e-6),
    ],
)
def test_attention_head_by_head_in_blocks_of_queries(called, monkeypatch, dtype, autocast, fused, rounding, scores):
    """11 keys and 9 queries: all queries of a head at once, or four at a time; with AMX all heads of the result."""
    torch.manual_seed(0)
    monkeypatch.setattr(head_attention, "_SCORES", scores)
    monkeypatch.setattr(head_attention, "fused_is_faster", lambda: fused)
    shapes = (2, 9, 3, 8), (2, 11, 3, 8), (2, 11, 3, 8)
    parts = [torch.randn(shape).to(dtype).transpose(1, 2).requires_grad_() for shape in shapes]
    exact = [part.detach().double().requires_grad_() for part in parts]
    weights = torch.randn(2, 3, 9, 8)
    for scale in (None, 0.1):
        expected = functional.scaled_dot_product_attention(*exact, scale=scale)
        gradients = torch.autograd.grad((expected * weights).sum(), exact)
        with ProcessorKernels(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found = functional.scaled_dot_product_attention(*parts, scale=scale)
        assert found.shape == expected.shape and found.dtype == dtype
        assert relative(found.double(), expected) < rounding
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            own = torch.autograd.grad((found * weights).sum(), parts)
        for mine, theirs in zip(own, gradients, strict=True):
            assert mine.dtype == dtype and relative(mine.double(), theirs) < rounding
    assert called == ["_attention", "_attention"]


def test_attention_that_is_left_to_torch(called, monkeypatch):
    whole = torch.randn(3, 1, 2, 9, 8).unbind(0)
    halves = [part.bfloat16() for part in whole]
    attend = functional.scaled_dot_product_attention
    with ProcessorKernels():
        attend(*halves, is_causal=True)
        attend(*halves, dropout_p=0.5)
        attend(*(part.double() for part in whole))
        attend(*(part[0] for part in whole))
        with torch.autocast("cpu", torch.bfloat16):
            assert attend(*whole).dtype == torch.bfloat16
        monkeypatch.setattr(module, "_pays_by_head", lambda query, key: False)
        attend(*whole)
        monkeypatch.setattr(module, "onednn_is_faster", lambda: False)
        monkeypatch.setattr(module, "_pays_by_head", lambda query, key: True)
        attend(*whole)
        assert called == []
        with torch.inference_mode():
            attend(*halves)
    assert called == ["_attention"]


@pytest.mark.parametrize("fused", [False, True])
def test_attention_in_bf16_is_torchs_where_that_is_faster(called, monkeypatch, fused):
    torch.manual_seed(0)
    parts = torch.randn(3, 1, 2, 40, 8).bfloat16().unbind(0)
    monkeypatch.setattr(head_attention, "fused_is_faster", lambda: fused)
    expected = functional.scaled_dot_product_attention(*parts)
    with ProcessorKernels(), torch.inference_mode():
        found = functional.scaled_dot_product_attention(*parts)
    assert called == ["_attention"] and torch.equal(found, expected) is fused


@pytest.mark.parametrize(
    ("dtype", "fused", "tokens"),
    [(torch.bfloat16, False, 256), (torch.bfloat16, True, 512), (torch.float32, True, 512)],
)
def test_small_heads_are_left_to_torch(monkeypatch, dtype, fused, tokens):
    monkeypatch.setattr(module, "fused_is_faster", lambda: fused)
    query, key = torch.empty(1, 1, tokens, 8, dtype=dtype), torch.empty(1, 1, tokens - 1, 8, dtype=dtype)
    assert module._pays_by_head(query, query) and not module._pays_by_head(query, key)


def test_what_is_left_to_torch(called, monkeypatch):
    layer, inputs = torch.nn.Linear(8, 8), torch.randn(4, 8)
    with ProcessorKernels():
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(inputs).dtype == torch.bfloat16
        layer.double()(inputs.double())
        with torch.backends.mkldnn.flags(enabled=False):
            layer.float()(inputs)
        monkeypatch.setattr(module, "_WORTHWHILE", 4 * 8 * 8 + 1)
        layer(inputs)
        monkeypatch.setattr(module, "onednn_is_faster", lambda: False)
        monkeypatch.setattr(module, "_WORTHWHILE", 0)
        layer(inputs)
    assert called == []


@pytest.mark.parametrize(
    ("vendor", "capability", "expected"),
    [("AuthenticAMD", "AVX512", True), ("GenuineIntel", "AVX512", False), ("AuthenticAMD", "AVX2", False)],
)
def test_it_depends_on_the_processor(monkeypatch, vendor, capability, expected):
    monkeypatch.setattr(module.Path, "exists", lambda path: False)
    monkeypatch.setattr(module.platform, "processor", lambda: f"Family 26 Model 2, {vendor}")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    onednn_is_faster.cache_clear()
    assert onednn_is_faster() is expected
    onednn_is_faster.cache_clear()


@pytest.mark.parametrize("capabilities", [{"amx_bf16": True}, {"avx512_bf16": True}, {"amx_bf16": False}])
def test_the_fused_attention_is_faster_with_amx(monkeypatch, capabilities):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    fused_is_faster.cache_clear()
    assert fused_is_faster() is bool(capabilities.get("amx_bf16"))
    fused_is_faster.cache_clear()


def test_other_devices_are_left_alone():
    assert not isinstance(processor_kernels("meta"), ProcessorKernels)
    assert isinstance(processor_kernels("cpu"), ProcessorKernels)
