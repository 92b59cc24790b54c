"""The forms with deterministic gradients give the values and the gradients of torch's operations."""

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from s5_hf.modeling import deterministic_operations
from s5_hf.modeling.deterministic_operations import maximum_of_squares, pixel_errors, pool_to_grid, resize_bicubic
from s5_hf.semi_supervised import make_method
from tests.semi_supervised.test_methods import labelled_batch, unlabelled_batch

# What raises on a GPU where only deterministic algorithms are allowed (torch.use_deterministic_algorithms).
RAISING = (
    *("nll_loss2d", "_adaptive_avg_pool2d_backward", "upsample_bicubic2d_backward", "kthvalue", "put", "histc"),
    *("max_pool2d_with_indices_backward", "replication_pad2d_backward", "grid_sampler_2d_backward"),
)


class Recorded(TorchDispatchMode):
    """The names of the operations inside the block."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        self.names.add(function.overloadpacket.__name__)
        return function(*arguments, **(named or {}))


@pytest.fixture
def other_form(monkeypatch):
    """As if tensors were on a GPU and torch were to be deterministic."""
    return lambda: monkeypatch.setattr(deterministic_operations, "needs_other_form", lambda tensor: True)


def both_forms(operation, values, other_form):
    found = []
    for _ in range(2):
        leaf = values.clone().requires_grad_()
        output = operation(leaf)
        weights = torch.linspace(0.5, 1.5, output.numel()).reshape(output.shape)
        (gradient,) = torch.autograd.grad((output * weights).sum(), leaf)
        found.append((output.detach(), gradient))
        other_form()
    return found


@pytest.mark.parametrize("rows", [7, 16])
@pytest.mark.parametrize(
    "operation",
    [
        lambda x: pool_to_grid(x, 3),
        lambda x: pool_to_grid(x, 6),
        lambda x: resize_bicubic(x, size=(5, 21)),
        lambda x: resize_bicubic(x, scale_factor=(1.31, 0.7)),
        maximum_of_squares,
        lambda x: pixel_errors(x, torch.arange(x[:, 0].numel()).reshape(x[:, 0].shape) % 4),
        lambda x: pixel_errors(x, (x[:, 0] > 0) * 255, 255, torch.tensor([0.5, 1.0, 2.0, 3.0]), "sum"),
    ],
    ids=["pool 3", "pool 6", "bicubic size", "bicubic factor", "maximum", "errors", "weighted sum"],
)
def test_values_and_gradients_are_those_of_torch(operation, rows, other_form):
    values = torch.randn(2, 4, rows, 9, generator=torch.Generator().manual_seed(rows))
    (output, gradient), (other, other_gradient) = both_forms(operation, values, other_form)
    torch.testing.assert_close(other, output, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(other_gradient, gradient, rtol=1e-5, atol=1e-5)


def test_of_equal_values_the_first_gets_the_gradient_and_nan_wins(other_form):
    values = torch.ones(1, 1, 3, 4)
    values[0, 0, 1, 3] = float("nan")
    (output, gradient), (other, other_gradient) = both_forms(maximum_of_squares, values, other_form)
    assert torch.equal(gradient, other_gradient)
    assert torch.equal(output.isnan(), other.isnan()) and other.isnan().sum() == 1


def test_ordinary_runs_use_the_operations_of_torch():
    values = torch.randn(1, 3, 8, 8, requires_grad=True)
    with Recorded() as recorded:
        pixel_errors(values, torch.zeros(1, 8, 8, dtype=torch.int64)).sum().backward()
        pool_to_grid(values, 3).sum().backward()
    assert {"nll_loss2d_forward", "_adaptive_avg_pool2d_backward"} <= recorded.names
    assert functional.max_pool2d(values, 2).equal(maximum_of_squares(values))


@pytest.mark.parametrize("method", ["fixmatch", "unimatch_v2"])
def test_a_step_calls_nothing_that_raises_on_a_gpu(dense_model, other_form, method):
    other_form()
    options = {"ohem_threshold": 0.7, "ohem_min_kept": 50} if method == "unimatch_v2" else {}
    chosen = make_method(method, confidence_threshold=0.0, **options)
    chosen.attach(dense_model)
    with Recorded() as recorded:
        chosen(dense_model, labelled_batch(), unlabelled_batch(views=chosen.strong_views), 0).loss.backward()
    called = {name for name in recorded.names if name.startswith(RAISING)}
    assert not called
    assert "convolution_backward" in recorded.names, "the gradient was computed inside the block"
