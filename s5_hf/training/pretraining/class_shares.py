"""How much of the labelled pixels each class has: the pseudo-labels of a healthy run are not too far from it."""

import dataclasses
from collections.abc import Mapping, Sequence

import torch

from ...semi_supervised import MethodOutput
from ...semi_supervised.batches import LabelledBatch

NAME = "labelled_share/{}"
"""Of the value of a class in the log."""


def with_labelled_shares(output: MethodOutput, batch: LabelledBatch | None, labels: Sequence[str]) -> MethodOutput:
    """The output of a step, and among its values the share of each class in the labelled pixels, 0 to 1.

    Args:
        output: of a method.
        batch: that it was given; `None` for a method without labels, whose output stays as it is.
        labels: class names.
    """
    if batch is None:
        return output
    shares = shares_of_classes(batch.labels, len(labels)).unbind()
    named = {NAME.format(label): share for label, share in zip(labels, shares, strict=True)}
    return dataclasses.replace(output, scalars={**output.scalars, **named})


def shares_of_classes(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """The share of each class in all pixels of labels `(batch, height, width)`, float32 `(classes,)`.

    Ignored pixels count as pixels, so that the shares of batches of one size can be averaged.
    """
    places = labels.clamp(max=classes).flatten()
    counts = torch.zeros(classes + 1, device=labels.device)
    counts.scatter_add_(0, places, torch.ones(len(places), device=labels.device))
    return counts[:classes] / len(places)


def labelled_shares(values: Mapping[str, float], labels: Sequence[str]) -> list[float]:
    """The shares among the values of a step; all 0 where it had no labels."""
    return [values.get(NAME.format(label), 0.0) for label in labels]
