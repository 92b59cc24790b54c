"""Batch norm whose statistics are those of all GPU processes, without a wait for the device in every layer."""

from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules._functions import SyncBatchNorm as GatheredStatistics


class SharedBatchNorm(nn.SyncBatchNorm):
    """`SyncBatchNorm` for processes that all have images.

    That of torch drops processes without images by a mask, and on a GPU every mask waits for its values. Values and
    gradients are the same.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise a batch `(batch, channels, ...)`."""
        if not self.training:
            return super().forward(images)
        self.num_batches_tracked.add_(1)
        statistics = (self.running_mean, self.running_var, self.eps, self.momentum)
        group = self.process_group or dist.group.WORLD
        return _SharedStatistics.apply(images, self.weight, self.bias, *statistics, group, dist.get_world_size(group))


class _SharedStatistics(GatheredStatistics):
    """The gradient is that of torch; so are the kernels."""

    @staticmethod
    def forward(
        ctx: Any,
        images: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        running_mean: torch.Tensor,
        running_var: torch.Tensor,
        eps: float,
        momentum: float,
        group: dist.ProcessGroup,
        processes: int,
    ) -> torch.Tensor:
        if not images.is_contiguous(memory_format=torch.channels_last):
            images = images.contiguous()
        channels = images.shape[1]
        mean, inverse_std = torch.batch_norm_stats(images, eps)
        count = torch.full_like(mean[:1], images.numel() // channels)
        gathered = mean.new_zeros(processes, 2 * channels + 1)
        gathered[dist.get_rank(group)] = torch.cat([mean, inverse_std, count])
        dist.all_reduce(gathered, group=group)  # each row is added to zeros
        means, inverse_stds, counts = (part.contiguous() for part in gathered.split([channels, channels, 1], dim=1))
        mean, inverse_std = torch.batch_norm_gather_stats_with_counts(
            images, means, inverse_stds, running_mean, running_var, momentum, eps, counts.view(-1)
        )
        ctx.save_for_backward(images, weight, mean, inverse_std, counts.to(torch.int32))
        ctx.process_group = group
        return torch.batch_norm_elemt(images, weight, bias, mean, inverse_std, eps)


def share_batch_statistics(model: nn.Module) -> nn.Module:
    """Replace every batch norm of a network, in place, by one that shares its statistics.

    Returns:
        The network, or what stands for it if it is a batch norm itself.
    """
    if isinstance(model, nn.modules.batchnorm._BatchNorm):
        shared = SharedBatchNorm(model.num_features, model.eps, model.momentum)
        shared.weight, shared.bias = model.weight, model.bias
        shared.running_mean, shared.running_var = model.running_mean, model.running_var
        shared.num_batches_tracked = model.num_batches_tracked
        return shared.train(model.training)
    for name, child in model.named_children():
        setattr(model, name, share_batch_statistics(child))
    return model
