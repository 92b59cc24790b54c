"""UniMatch V2 (arXiv 2410.10777): averaged teacher, two strong views, complementary channel dropout."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from .batches import LabelledBatch, UnlabelledBatch
from .channel_dropout import complementary_masks, scaled_channels
from .losses import consistency_loss, supervised_loss
from .method import Method, MethodOutput, register_method
from .pseudo_labels import check_threshold, cutmix, label_weak_views, threshold_at
from .weight_average import WeightAverage


@register_method("unimatch_v2")
@dataclass
class UniMatchV2(Method):
    """L = (Ls + (Lu1 + Lu2) / 2) / 2; a teacher, the moving average of the network, labels the weak views.

    Labelled and strong images pass the network in one forward (the authors use two), so that batch norm and gradient
    synchronisation see one batch per step.

    Args:
        confidence_threshold: probability from which on a pseudo-label counts.
        unlabelled_from_step: before this step no pseudo-label counts.
        teacher_decay: the teacher's decay is min(1 - 1 / (step + 1), teacher_decay).
        channel_dropout: whether channels are dropped in complementary halves.

    Raises:
        ValueError: if the threshold or the decay is out of range.
    """

    confidence_threshold: float = 0.95
    unlabelled_from_step: int = 0
    teacher_decay: float = 0.996
    channel_dropout: bool = True
    strong_views: ClassVar[int] = 2
    has_teacher: ClassVar[bool] = True
    teacher: WeightAverage | None = field(default=None, init=False, repr=False)
    backbone: nn.Module | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_threshold(self.confidence_threshold)
        if not 0 <= self.teacher_decay <= 1:
            raise ValueError(f"teacher_decay must lie between 0 and 1, got {self.teacher_decay}")

    def attach(self, model: nn.Module) -> None:
        self.teacher = WeightAverage(model)
        self.backbone = model.backbone

    def __call__(
        self, model: nn.Module, labelled: LabelledBatch, unlabelled: UnlabelledBatch | None, step: int
    ) -> MethodOutput:
        if self.teacher is None:
            raise RuntimeError("unimatch_v2 has no teacher yet: call attach(model) before the first step")
        own, pasted = label_weak_views(self.teacher.model, unlabelled)
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

    def after_step(self, model: nn.Module, step: int) -> None:
        self.teacher.update(model, min(1 - 1 / (step + 1), self.teacher_decay))

    def state_dict(self) -> dict[str, Any]:
        return {"teacher": self.teacher.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.teacher.model.load_state_dict(state["teacher"])

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
