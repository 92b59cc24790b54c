"""UniMatch V2 (arXiv 2410.10777): averaged teacher, two strong views, complementary channel dropout."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from .batches import LabelledBatch, UnlabelledBatch
from .channel_dropout import complementary_masks, scaled_channels
from .losses import hard_pixel_loss, supervised_loss
from .method import MethodOutput, register_method
from .pseudo_labels import check_threshold
from .teacher import TaughtMethod, taught_output


@register_method("unimatch_v2")
@dataclass
class UniMatchV2(TaughtMethod):
    """L = (Ls + (Lu1 + Lu2) / 2) / 2; a teacher, the moving average of the network, labels the weak views.

    Labelled and strong images pass the network in one forward (the authors use two), so that batch norm and gradient
    synchronisation see one batch per step.

    Args:
        channel_dropout: whether channels are dropped in complementary halves.
        ohem_threshold: learn from labelled pixels only where their class has at most this probability (online hard
            example mining; 0.7 as published for Cityscapes); `None` for all.
        ohem_min_kept: so many labelled pixels of a process count at least.
    """

    teacher: str = "ema"
    teacher_schedule: str = "warmup"
    channel_dropout: bool = True
    ohem_threshold: float | None = None
    ohem_min_kept: int = 200_000
    strong_views: ClassVar[int] = 2
    backbone: nn.Module | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ohem_threshold is not None:
            check_threshold(self.ohem_threshold, "ohem_threshold")
        if self.ohem_min_kept < 1:
            raise ValueError(f"ohem_min_kept must be at least 1, got {self.ohem_min_kept}")

    def attach(self, model: nn.Module) -> None:
        super().attach(model)
        self.backbone = model.backbone

    def __call__(
        self, model: nn.Module, labelled: LabelledBatch, unlabelled: UnlabelledBatch | None, step: int
    ) -> MethodOutput:
        own, views = self.label(model, unlabelled, step)
        logits = self._logits(model, labelled.pixel_values, *(view.pixel_values for view in views))
        loss_supervised = self._labelled_loss(logits[0], labelled)
        return taught_output(self, step, loss_supervised, logits[1:], own, views, unlabelled.ignored)

    def _labelled_loss(self, logits: torch.Tensor, labelled: LabelledBatch) -> torch.Tensor:
        if self.ohem_threshold is None:
            return supervised_loss(logits, labelled.labels, labelled.count)
        return hard_pixel_loss(logits, labelled.labels, self.ohem_threshold, self.ohem_min_kept)

    def _logits(self, model: nn.Module, labelled: torch.Tensor, *views: torch.Tensor) -> list[torch.Tensor]:
        """Logits of the labelled images and of both views, from one forward."""
        images = torch.cat([labelled, *views])
        sizes = [len(labelled), *(len(view) for view in views)]
        if not self.channel_dropout:
            return list(model(images).logits.split(sizes))
        channels = max(self.backbone.channels)
        masks = complementary_masks(len(views[0]), channels, images.device)
        all_channels = torch.ones(len(labelled), channels, device=images.device)
        with scaled_channels(self.backbone, torch.cat([all_channels, *masks])):
            return list(model(images).logits.split(sizes))
