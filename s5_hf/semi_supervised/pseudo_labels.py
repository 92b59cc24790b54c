"""Pseudo-labels: what a network in eval mode says about weak views, and how sure it is."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from .batches import UnlabelledBatch, paste
from .losses import mean_over_processes


@dataclass(frozen=True)
class PseudoLabels:
    """Predictions for weak views.

    Attributes:
        labels: int64 `(batch, height, width)`, the likeliest class.
        confidence: float32 `(batch, height, width)`, its probability.
    """

    labels: torch.Tensor
    confidence: torch.Tensor


@dataclass(frozen=True)
class CutMixed:
    """A strong view with pasted boxes, and everything that was pasted with it.

    Attributes:
        pixel_values: `(batch, channels, height, width)`.
        labels: pseudo-labels, int64 `(batch, height, width)`.
        confident: bool, valid and sure enough to be learnt from.
        valid: bool, not padding.
    """

    pixel_values: torch.Tensor
    labels: torch.Tensor
    confident: torch.Tensor
    valid: torch.Tensor

    @property
    def mask_ratio(self) -> torch.Tensor:
        """Share of the valid pixels that are confident; the mean over the processes is that of all their pixels."""
        return self.confident.sum() / mean_over_processes(self.valid.sum()).clamp(min=1)

    def class_counts(self, num_classes: int) -> torch.Tensor:
        """Confident pixels of each class, float32 `(num_classes,)`."""
        counts = torch.zeros(num_classes, device=self.labels.device)
        return counts.scatter_add_(0, self.labels.flatten(), self.confident.flatten().float())


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; afterwards every module is in its own mode again, frozen batch norm included."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def predict(model: nn.Module, pixel_values: torch.Tensor) -> PseudoLabels:
    """Arg max and maximal probability per pixel, in eval mode and without gradients."""
    with evaluating(model):
        logits = model(pixel_values).logits.float()
    highest, labels = logits.max(dim=1)
    return PseudoLabels(labels, torch.exp(highest - logits.logsumexp(dim=1)))


def label_weak_views(model: nn.Module, unlabelled: UnlabelledBatch) -> tuple[PseudoLabels, PseudoLabels]:
    """Pseudo-labels of the batch and of what CutMix pastes into it; one forward pass serves both."""
    if unlabelled.partner is None:
        own = predict(model, unlabelled.weak)
        pasted = unlabelled.partners_in_batch(own.labels), unlabelled.partners_in_batch(own.confidence)
        return own, PseudoLabels(*pasted)
    both = predict(model, torch.cat([unlabelled.weak, unlabelled.partner.weak]))
    labels, confidence = both.labels.chunk(2), both.confidence.chunk(2)
    return PseudoLabels(labels[0], confidence[0]), PseudoLabels(labels[1], confidence[1])


def cutmix(
    unlabelled: UnlabelledBatch, view: int, own: PseudoLabels, pasted: PseudoLabels, threshold: float
) -> CutMixed:
    """Paste the partner's boxes into a strong view; pseudo-label, confidence and ignore mask go with them.

    Args:
        unlabelled: the batch.
        view: number of the strong view.
        own, pasted: pseudo-labels of the batch and of its partner.
        threshold: confidence from which on a pixel is learnt from.
    """
    strong, boxes, partner = unlabelled.strong[view], unlabelled.boxes[view], unlabelled.partner
    strong_partner = unlabelled.partners_in_batch(strong) if partner is None else partner.strong[view]
    ignored_partner = unlabelled.partners_in_batch(unlabelled.ignored) if partner is None else partner.ignored
    valid = ~paste(unlabelled.ignored, ignored_partner, boxes)
    confidence = paste(own.confidence, pasted.confidence, boxes)
    return CutMixed(
        pixel_values=paste(strong, strong_partner, boxes),
        labels=paste(own.labels, pasted.labels, boxes),
        confident=(confidence >= threshold) & valid,
        valid=valid,
    )


def threshold_at(step: int, threshold: float, unlabelled_from_step: int) -> float:
    """The threshold of a step; before `unlabelled_from_step` one that no probability reaches."""
    return threshold if step >= unlabelled_from_step else math.inf


def check_threshold(threshold: float, name: str = "the confidence threshold") -> None:
    """Raise a ValueError unless 0 <= threshold <= 1."""
    if not 0 <= threshold <= 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {threshold}")
