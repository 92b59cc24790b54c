"""The two losses of semi-supervised segmentation, normalised over all processes."""

import math

import torch
from torch import distributed

from ..modeling.segmentation_loss import labelled_pixels, masked_cross_entropy

IGNORED = 255


def supervised_loss(logits: torch.Tensor, labels: torch.Tensor, count: torch.Tensor | None = None) -> torch.Tensor:
    """Cross-entropy, averaged over the labelled pixels of all processes.

    Args:
        logits: `(batch, classes, height, width)`.
        labels: int64 `(batch, height, width)`, 255 where a pixel is ignored.
        count: what the sum over the pixels is divided by instead, where the batch is one of several of a step.

    Returns:
        A scalar; 0, with a gradient of 0, where every pixel is ignored.
    """
    count = mean_over_processes(labelled_pixels(labels, IGNORED)) if count is None else count
    return masked_cross_entropy(logits, labels, IGNORED, count=count)


def hard_pixel_loss(logits: torch.Tensor, labels: torch.Tensor, threshold: float, min_kept: int) -> torch.Tensor:
    """Cross-entropy of the labelled pixels whose own class is unlikely (online hard example mining).

    Kept are pixels whose class has at most the probability `threshold`, or that of the `min_kept`-th least likely
    pixel if it is higher. With fewer than `min_kept` labelled pixels all count. Shapes as in `supervised_loss`.
    """
    valid = labels != IGNORED
    classes = labels.masked_fill(~valid, 0)[:, None]
    likelihood = logits.detach().float().softmax(dim=1).gather(1, classes)[:, 0].masked_fill(~valid, math.inf)
    # Without a question to the device: with too few labelled pixels the bound is infinite, and all count.
    least_likely = likelihood.flatten().sort().values
    bound = least_likely[min_kept - 1].clamp(min=threshold) if min_kept <= len(least_likely) else math.inf
    return supervised_loss(logits, labels.masked_fill(likelihood > bound, IGNORED))


def consistency_loss(
    logits: torch.Tensor,
    pseudo_labels: torch.Tensor,
    confident: torch.Tensor,
    valid: torch.Tensor,
    count: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cross-entropy with the pseudo-labels where they are confident, over the number of *valid* pixels.

    Args:
        logits: of the strong views, `(batch, classes, height, width)`.
        pseudo_labels: int64 `(batch, height, width)`.
        confident: bool `(batch, height, width)`: pixels that count, all of them valid.
        valid: bool `(batch, height, width)`: pixels that are not ignored.
        count: as for `supervised_loss`.
    """
    targets = torch.where(confident, pseudo_labels, IGNORED)
    count = mean_over_processes(valid.sum()) if count is None else count
    return masked_cross_entropy(logits, targets, IGNORED, count=count)


def mean_over_processes(count: torch.Tensor) -> torch.Tensor:
    """A count, averaged over the processes of a distributed run, as float.

    Distributed training averages the gradients of the processes. With this denominator the average is the gradient of
    the mean over the pixels of all processes, whatever the share of ignored pixels of each.
    """
    total = sum_over_processes(count.detach().float())
    return total / distributed.get_world_size() if in_several_processes() else total


def sum_over_processes(counts: torch.Tensor) -> torch.Tensor:
    """Float counts of any shape, added up over the processes of a distributed run."""
    if in_several_processes():
        counts = counts.clone()
        distributed.all_reduce(counts)
    return counts


def in_several_processes() -> bool:
    """Whether this is one of several processes of a distributed run."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def gather_over_processes(values: torch.Tensor) -> torch.Tensor:
    """Rows `(n, ...)` of all processes, one behind the other; each has as many."""
    if not in_several_processes():
        return values
    parts = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, values.contiguous())
    return torch.cat(parts)
