"""Shared batch statistics with the kernels of a GPU written out, on one process that plays one of two."""

import pytest
import torch
from torch import nn

from s5_hf.training import shared_batch_norm
from s5_hf.training.shared_batch_norm import SharedBatchNorm, share_batch_statistics

PLACES = (0, 2, 3)


def column(values):
    return values[None, :, None, None]


def stats(images, eps):
    return images.mean(PLACES), (images.var(PLACES, correction=0) + eps).rsqrt()


def gather(images, means, inverse_stds, running_mean, running_var, momentum, eps, counts):
    share = counts[:, None] / counts.sum()
    mean = (share * means).sum(0)
    variance = (share * (inverse_stds**-2 - eps + (means - mean) ** 2)).sum(0)
    running_mean.lerp_(mean, momentum)
    running_var.lerp_(variance * counts.sum() / (counts.sum() - 1), momentum)
    return mean, (variance + eps).rsqrt()


def normalise(images, weight, bias, mean, inverse_std, eps):
    return (images - column(mean)) * column(inverse_std * weight) + column(bias)


def sums(gradient, images, mean, inverse_std, weight, *needed):
    centred = (gradient * (images - column(mean))).sum(PLACES)
    return gradient.sum(PLACES), centred, centred * inverse_std, gradient.sum(PLACES)


def gradient_of_images(gradient, images, mean, inverse_std, weight, sum_dy, sum_dy_xmu, counts):
    total = counts.sum()
    along = (images - column(mean)) * column(inverse_std**2 * sum_dy_xmu / total)
    return (gradient - column(sum_dy / total) - along) * column(inverse_std * weight)


@pytest.fixture
def kernels(monkeypatch):
    """The operations that torch has on GPUs only."""
    monkeypatch.setattr(torch, "batch_norm_stats", stats)
    monkeypatch.setattr(torch, "batch_norm_gather_stats_with_counts", gather)
    monkeypatch.setattr(torch, "batch_norm_elemt", normalise)
    monkeypatch.setattr(torch, "batch_norm_backward_reduce", sums)
    monkeypatch.setattr(torch, "batch_norm_backward_elemt", gradient_of_images)
    monkeypatch.setattr(shared_batch_norm.dist, "get_rank", lambda group: 0)


def test_two_processes_have_the_statistics_of_all_images(kernels, monkeypatch):
    images, plain = torch.randn(6, 3, 4, 5) * 3 + 1, nn.BatchNorm2d(3)
    model = share_batch_statistics(nn.Sequential(nn.Identity(), nn.BatchNorm2d(3)))
    mine, others = images[:4], images[4:]

    def other_process(gathered, group):
        gathered[1] = torch.cat([*stats(others, plain.eps), torch.tensor([40.0])])

    monkeypatch.setattr(shared_batch_norm.dist, "get_world_size", lambda group: 2)
    monkeypatch.setattr(shared_batch_norm.dist, "all_reduce", other_process)
    torch.testing.assert_close(model(mine), plain(images)[:4])
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model[1].state_dict()[name], value, msg=name)
    torch.testing.assert_close(model.eval()(mine), plain.eval()(mine))


def test_gradients_are_those_of_batch_norm(kernels, monkeypatch):
    monkeypatch.setattr(shared_batch_norm.dist, "get_world_size", lambda group: 1)
    monkeypatch.setattr(shared_batch_norm.dist, "all_reduce", lambda *arguments, **named: None)
    plain, found = nn.BatchNorm2d(3), []
    nn.init.normal_(plain.weight)
    values, weight = torch.randn(4, 3, 4, 5), torch.randn(4, 3, 4, 5)
    for norm in (plain, share_batch_statistics(plain)):
        images = values.clone().requires_grad_()
        found.append(torch.autograd.grad((norm(images) * weight).sum(), [images, norm.weight, norm.bias]))
    assert isinstance(norm, SharedBatchNorm)
    for expected, gradient in zip(*found, strict=True):
        torch.testing.assert_close(gradient, expected)
