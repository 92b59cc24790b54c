"""Batches whose gradients are accumulated count as one: their losses are divided by the pixels of all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from ..modeling.segmentation_loss import labelled_pixels
from .batches import LabelledBatch, UnlabelledBatch
from .losses import IGNORED, mean_over_processes

Batches = tuple[LabelledBatch | None, UnlabelledBatch | None]


def counted_together(batches: Sequence[Batches], pastes: bool) -> list[Batches]:
    """The batches of one optimizer step, with the counts by which their losses are divided.

    The mean of their losses is then the loss of all their pixels, as if they were one batch or those of as many
    processes; what differs is the batch that batch norm sees. Pixels that a method chooses by the network's answers
    (`ohem_threshold`) are counted batch by batch.

    Args:
        batches: one after the other; all with unlabelled images or none, and all with labelled images or none.
        pastes: whether the method pastes partners into the strong views.
    """
    if len(batches) == 1:
        return list(batches)
    labelled = [[] if batch is None else [labelled_pixels(batch.labels, IGNORED)] for batch, _ in batches]
    unlabelled = [[] if batch is None else valid_pixels(batch, pastes) for _, batch in batches]
    rows = [torch.stack([*first, *rest]) for first, rest in zip(labelled, unlabelled, strict=True)]
    means = mean_over_processes(torch.stack(rows).float().mean(dim=0))
    counts = tuple(means[len(labelled[0]) :])
    return [
        (first and replace(first, count=means[0]), second and replace(second, counts=counts))
        for first, second in batches
    ]


def valid_pixels(batch: UnlabelledBatch, pastes: bool) -> list[torch.Tensor]:
    """The pixels of each strong view that are not padding, scalars."""
    if not pastes:
        return [(~batch.ignored).sum()] * len(batch.strong)
    return [batch.valid(view).sum() for view in range(len(batch.strong))]


def mean_counts(counts: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The means of named counts over batches with the same names, and over the processes."""
    means = mean_over_processes(torch.stack([torch.stack(list(row.values())) for row in counts]).float().mean(dim=0))
    return dict(zip(counts[0], means, strict=True))
