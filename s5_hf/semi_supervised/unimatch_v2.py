"""UniMatch V2 (arXiv 2410.10777): averaged teacher, two strong views, complementary channel dropout."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from .batches import LabelledBatch, UnlabelledBatch
from .channel_dropout import complementary_masks, scaled_channels
from .losses import consistency_loss, supervised_loss
from .method import MethodOutput, register_method
from .pseudo_labels import cutmix, label_weak_views, threshold_at
from .teacher import TaughtMethod


@register_method("unimatch_v2")
@dataclass
class UniMatchV2(TaughtMethod):
    """L = (Ls + (Lu1 + Lu2) / 2) / 2; a teacher, the moving average of the network, labels the weak views.

    Labelled and strong images pass the network in one forward (the authors use two), so that batch norm and gradient
    synchronisation see one batch per step.

    Args:
        channel_dropout: whether channels are dropped in complementary halves.
    """

    teacher: str = "ema"
    teacher_schedule: str = "warmup"
    channel_dropout: bool = True
    strong_views: ClassVar[int] = 2
    backbone: nn.Module | None = field(default=None, init=False, repr=False)

    def attach(self, model: nn.Module) -> None:
        super().attach(model)
        self.backbone = model.backbone

    def __call__(
        self, model: nn.Module, labelled: LabelledBatch, unlabelled: UnlabelledBatch | None, step: int
    ) -> MethodOutput:
        own, pasted = label_weak_views(self.labeller(model), unlabelled)
        threshold = threshold_at(step, self.confidence_threshold, self.unlabelled_from_step)
        views = [cutmix(unlabelled, view, own, pasted, threshold) for view in (0, 1)]
        logits = self._logits(model, labelled.pixel_values, *(view.pixel_values for view in views))
        loss_supervised = supervised_loss(logits[0], labelled.labels)
        losses = [
            consistency_loss(view_logits, view.labels, view.confident, view.valid)
            for view_logits, view in zip(logits[1:], views, strict=True)
        ]
        loss_unsupervised = sum(losses) / 2
        return MethodOutput(
            loss=(loss_supervised + loss_unsupervised) / 2,
            scalars={
                "loss_supervised": loss_supervised.detach(),
                "loss_unsupervised": loss_unsupervised.detach(),
                "mask_ratio": sum(view.mask_ratio for view in views) / 2,
            },
            class_counts=sum(view.class_counts(logits[0].shape[1]) for view in views),
        )

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
