"""Labelled images only: the baseline of every ablation."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from .batches import LabelledBatch, UnlabelledBatch
from .losses import supervised_loss
from .method import Method, MethodOutput, register_method


@register_method("supervised")
@dataclass
class Supervised(Method):
    """L = Ls, the cross-entropy of the labelled images; unlabelled ones are not read."""

    strong_views: ClassVar[int] = 0
    pastes: ClassVar[bool] = False

    def __call__(
        self, model: nn.Module, labelled: LabelledBatch, unlabelled: UnlabelledBatch | None, step: int
    ) -> MethodOutput:
        loss = supervised_loss(model(labelled.pixel_values).logits, labelled.labels, labelled.count)
        return MethodOutput(loss, {"loss_supervised": loss.detach()})
