"""Pseudo-labels: what a network in eval mode says about weak views, and how sure it is."""

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
        classes: how many classes there are.
    """

    labels: torch.Tensor
    confidence: torch.Tensor
    classes: int


@dataclass(frozen=True)
class CutMixed:
    """A strong view with pasted boxes, and everything that was pasted with it.

    Attributes:
        pixel_values: `(batch, channels, height, width)`.
        labels: pseudo-labels, int64 `(batch, height, width)`.
        confidence: their probabilities, float32.
        confident: bool, valid and sure enough to be learnt from.
        valid: bool, not padding.
        count: pixels by which the loss is divided; `None` for the valid ones over all processes.
    """

    pixel_values: torch.Tensor
    labels: torch.Tensor
    confidence: torch.Tensor
    confident: torch.Tensor
    valid: torch.Tensor
    count: torch.Tensor | None = None

    def agreement(self, logits: torch.Tensor) -> torch.Tensor:
        """Share of the valid pixels that a network's logits `(batch, classes, height, width)` give the same class."""
        return share_of((logits.argmax(dim=1) == self.labels) & self.valid, self.valid, self.count)

    def class_counts(self, num_classes: int, weights: torch.Tensor) -> torch.Tensor:
        """The sum of the weights `(batch, height, width)` of each class's pixels, float32 `(num_classes,)`."""
        counts = torch.zeros(num_classes, device=self.labels.device)
        return counts.scatter_add_(0, self.labels.flatten(), weights.flatten())


def share_of(values: torch.Tensor, valid: torch.Tensor, count: torch.Tensor | None = None) -> torch.Tensor:
    """The sum of some values over the number of valid pixels; the mean over the processes is that of all of them.

    A `count` takes the place of that number, where the batch is one of several of a step.
    """
    return values.sum() / (mean_over_processes(valid.sum()) if count is None else count).clamp(min=1)


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
    return PseudoLabels(labels, torch.exp(highest - logits.logsumexp(dim=1)), logits.shape[1])


def label_weak_views(model: nn.Module, unlabelled: UnlabelledBatch) -> tuple[PseudoLabels, PseudoLabels]:
    """Pseudo-labels of the batch and of what CutMix pastes into it; one forward pass serves both."""
    if unlabelled.partner is None:
        own = predict(model, unlabelled.weak)
        pasted = unlabelled.partners_in_batch(own.labels), unlabelled.partners_in_batch(own.confidence)
        return own, PseudoLabels(*pasted, own.classes)
    both = predict(model, torch.cat([unlabelled.weak, unlabelled.partner.weak]))
    halves = zip(both.labels.chunk(2), both.confidence.chunk(2), strict=True)
    own, pasted = (PseudoLabels(labels, confidence, both.classes) for labels, confidence in halves)
    return own, pasted


def cutmix(
    unlabelled: UnlabelledBatch, view: int, own: PseudoLabels, pasted: PseudoLabels, threshold: float | torch.Tensor
) -> CutMixed:
    """Paste the partner's boxes into a strong view; pseudo-label, confidence and ignore mask go with them.

    Args:
        unlabelled: the batch.
        view: number of the strong view.
        own, pasted: pseudo-labels of the batch and of its partner.
        threshold: confidence from which on a pixel is learnt from: a number, or one per class, float `(classes,)`.
    """
    strong, boxes, partner = unlabelled.strong[view], unlabelled.boxes[view], unlabelled.partner
    strong_partner = unlabelled.partners_in_batch(strong) if partner is None else partner.strong[view]
    valid = unlabelled.valid(view)
    labels = paste(own.labels, pasted.labels, boxes)
    confidence = paste(own.confidence, pasted.confidence, boxes)
    return CutMixed(
        pixel_values=paste(strong, strong_partner, boxes),
        labels=labels,
        confidence=confidence,
        confident=reaches(labels, confidence, threshold) & valid,
        valid=valid,
        count=unlabelled.count(view),
    )


def reaches(labels: torch.Tensor, confidence: torch.Tensor, threshold: float | torch.Tensor) -> torch.Tensor:
    """Where the confidence reaches the threshold, of all classes or of each; bool, of the shape of `labels`."""
    return confidence >= (threshold[labels] if isinstance(threshold, torch.Tensor) else threshold)


def check_threshold(threshold: float, name: str = "the confidence threshold") -> None:
    """Raise a ValueError unless 0 <= threshold <= 1."""
    if not 0 <= threshold <= 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {threshold}")
