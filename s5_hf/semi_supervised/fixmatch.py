"""FixMatch for dense prediction: what S5 pre-trains with (arXiv 2508.12409, section "S4 Pre-training")."""

from dataclasses import dataclass

import torch
from torch import nn

from .batches import LabelledBatch, UnlabelledBatch
from .losses import consistency_loss, supervised_loss
from .method import Method, MethodOutput, register_method
from .pseudo_labels import check_threshold, cutmix, label_weak_views, threshold_at


@register_method("fixmatch")
@dataclass
class FixMatch(Method):
    """L = (Ls + Lu) / 2; the network labels the weak views for its own training on the strong ones.

    Lu is the cross-entropy of the pixels whose pseudo-label has at least the threshold's probability, divided by the
    number of valid pixels. Labelled and strong images pass the network together.

    Args:
        confidence_threshold: tau, 0.95 as published.
        unlabelled_from_step: before this step no pseudo-label counts (0, from the start, as published). In eval mode a
            new decoder is sure of nonsense until the running statistics of its batch norm have settled.

    Raises:
        ValueError: if the threshold is not a probability.
    """

    confidence_threshold: float = 0.95
    unlabelled_from_step: int = 0

    def __post_init__(self) -> None:
        check_threshold(self.confidence_threshold)

    def __call__(
        self, model: nn.Module, labelled: LabelledBatch, unlabelled: UnlabelledBatch | None, step: int
    ) -> MethodOutput:
        own, pasted = label_weak_views(model, unlabelled)
        threshold = threshold_at(step, self.confidence_threshold, self.unlabelled_from_step)
        mixed = cutmix(unlabelled, 0, own, pasted, threshold)
        logits = model(torch.cat([labelled.pixel_values, mixed.pixel_values])).logits
        count = len(labelled.labels)
        loss_supervised = supervised_loss(logits[:count], labelled.labels)
        loss_unsupervised = consistency_loss(logits[count:], mixed.labels, mixed.confident, mixed.valid)
        return MethodOutput(
            loss=(loss_supervised + loss_unsupervised) / 2,
            scalars={
                "loss_supervised": loss_supervised.detach(),
                "loss_unsupervised": loss_unsupervised.detach(),
                "mask_ratio": mixed.mask_ratio,
            },
            class_counts=mixed.class_counts(logits.shape[1]),
        )
