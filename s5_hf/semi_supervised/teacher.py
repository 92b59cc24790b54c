"""Methods that learn from pseudo-labels: who gives them, which of them count, and how much."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import nn

from .batches import UnlabelledBatch
from .confidence import AdaptiveThresholds, Confidence, FixedThreshold, RankWeights
from .method import Method, MethodOutput
from .pseudo_labels import CutMixed, PseudoLabels, check_threshold, cutmix, label_weak_views, share_of
from .weight_average import WeightAverage

CHOICES = {
    "teacher": ("student", "ema"),
    "teacher_schedule": ("constant", "late", "warmup"),
    "threshold": ("fixed", "adaptive", "rank"),
}


@dataclass
class TaughtMethod(Method):
    """A method that learns from pseudo-labels; what such methods have in common.

    Args:
        confidence_threshold: probability from which on a pseudo-label counts; of the class that is learnt best where
            thresholds are adaptive.
        unlabelled_from_step: before this step no pseudo-label counts.
        teacher: `"student"`, the network itself, or `"ema"`, the exponential moving average of its weights.
        teacher_decay: decay of the average.
        teacher_schedule: `"constant"`, where the teacher is an average from the first step on (the weights of single
            steps at a high learning rate are poor teachers); `"late"`, where it copies the student until
            `unlabelled_from_step` and is an average from there on, for a supervised phase whose learning rate falls to
            0; or `"warmup"`: min(1 - 1 / (t + 1), teacher_decay) with t steps since `unlabelled_from_step`. That is
            the plain mean at first: it forgets the weights of a warm start within a few steps, where a constant decay
            keeps them.
        threshold: `"fixed"`; `"adaptive"`, one per class, see [`AdaptiveThresholds`]; or `"rank"`, none: every pixel
            counts as its rank says, see [`RankWeights`].
        threshold_floor: the lowest adaptive threshold.
        total_steps: of the training, which weights by rank follow.
        unlabelled_weight: of the unsupervised loss; 1 as published.
        unlabelled_ramp_steps: steps from `unlabelled_from_step` on in which that weight grows from 0.

    Attributes:
        averaged: the averaged teacher, `None` before [`attach`] and where the student teaches itself.
        confidence: decides which pseudo-labels count.

    Raises:
        ValueError: if a number is out of range or a name unknown.
    """

    confidence_threshold: float = 0.95
    unlabelled_from_step: int = 0
    teacher: str = "student"
    teacher_decay: float = 0.996
    teacher_schedule: str = "constant"
    threshold: str = "fixed"
    threshold_floor: float = 0.5
    total_steps: int = 0
    unlabelled_weight: float = 1.0
    unlabelled_ramp_steps: int = 0
    averaged: WeightAverage | None = field(default=None, init=False, repr=False, compare=False)
    confidence: Confidence = field(init=False, repr=False, compare=False)
    strong_views: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_threshold(self.confidence_threshold)
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, got {getattr(self, name)!r}")
        if not 0 <= self.teacher_decay <= 1:
            raise ValueError(f"teacher_decay must lie between 0 and 1, got {self.teacher_decay}")
        if not 0 <= self.threshold_floor <= 1:
            raise ValueError(f"threshold_floor must lie between 0 and 1, got {self.threshold_floor}")
        for name in ("unlabelled_from_step", "unlabelled_ramp_steps", "unlabelled_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.threshold == "rank" and self.total_steps < 1:
            raise ValueError(f"threshold: rank needs total_steps of at least 1, got {self.total_steps}")
        self.confidence = self.make_confidence()

    def make_confidence(self) -> Confidence:
        """What decides which pseudo-labels count."""
        if self.threshold == "rank":
            return RankWeights(self.total_steps)
        if self.threshold == "adaptive":
            return AdaptiveThresholds(self.confidence_threshold, min(self.threshold_floor, self.confidence_threshold))
        return FixedThreshold(self.confidence_threshold)

    @property
    def threshold_now(self) -> float | torch.Tensor | None:
        """Probability from which on a pseudo-label counts: a number, or one per class; `None` where ranks count."""
        return self.confidence.threshold

    @property
    def has_teacher(self) -> bool:
        """Whether there is an averaged teacher."""
        return self.teacher == "ema"

    @property
    def has_state(self) -> bool:
        """Whether a checkpoint must hold something of the method."""
        return self.has_teacher or self.confidence.has_state

    @property
    def teacher_model(self) -> nn.Module | None:
        """The averaged teacher's network."""
        return None if self.averaged is None else self.averaged.model

    def attach(self, model: nn.Module) -> None:
        """Copy the network for an averaged teacher."""
        if self.has_teacher:
            self.averaged = WeightAverage(model)

    def labeller(self, model: nn.Module) -> nn.Module:
        """The network that labels the weak views for the student `model`.

        Raises:
            RuntimeError: if the averaged teacher was not made yet.
        """
        if not self.has_teacher:
            return model
        if self.averaged is None:
            raise RuntimeError(f"{self.name} has no teacher yet: call attach(model) before the first step")
        return self.averaged.model

    def label(self, model: nn.Module, unlabelled: UnlabelledBatch, step: int) -> tuple[PseudoLabels, list[CutMixed]]:
        """Pseudo-labels of the weak views for the student `model`, and the strong views with theirs."""
        own, pasted = label_weak_views(self.labeller(model), unlabelled)
        threshold: float | torch.Tensor | None = math.inf
        if step >= self.unlabelled_from_step:
            self.confidence.see(own, unlabelled.ignored, step)
            threshold = self.confidence.threshold
        threshold = 0.0 if threshold is None else threshold
        return own, [cutmix(unlabelled, view, own, pasted, threshold) for view in range(self.strong_views)]

    def weight_at(self, step: int) -> float:
        """Weight of the unsupervised loss at a step counted from 0."""
        return ramped(step - self.unlabelled_from_step, self.unlabelled_ramp_steps) * self.unlabelled_weight

    def after_step(self, model: nn.Module, step: int) -> None:
        """Let the teacher follow."""
        if self.averaged is not None:
            self.averaged.update(model, self.decay_at(step))

    def decay_at(self, step: int) -> float:
        """The teacher's decay after a step counted from 0.

        Before `unlabelled_from_step` a teacher of constant decay is the plain mean at first, so that it forgets the
        new weights; any other copies the student.
        """
        since = step - self.unlabelled_from_step
        highest = {
            "constant": 1.0 if since >= 0 else 1 - 1 / (step + 1),
            "late": 1.0 if since >= 0 else 0.0,
            "warmup": 1 - 1 / (since + 1) if since >= 0 else 0.0,
        }
        return min(highest[self.teacher_schedule], self.teacher_decay)

    def state_dict(self) -> dict[str, Any]:
        """The weights of the teacher, and what the thresholds rest on."""
        teacher = {} if self.averaged is None else {"teacher": self.averaged.state_dict()}
        return teacher | ({"confidence": self.confidence.state_dict()} if self.confidence.has_state else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        if self.averaged is not None:
            self.averaged.load_state_dict(state["teacher"])
        if self.confidence.has_state:
            self.confidence.load_state_dict(state["confidence"])


def ramped(since: int, steps: int) -> float:
    """A weight that grows evenly to 1 in so many steps; `since` counts them from 0, before it the weight is 0."""
    return 1.0 if since >= steps else max(0.0, (since + 1) / (steps + 1))


def taught_output(
    method: TaughtMethod,
    step: int,
    loss_supervised: torch.Tensor,
    logits: Sequence[torch.Tensor],
    own: PseudoLabels,
    views: Sequence[CutMixed],
    ignored: torch.Tensor,
) -> MethodOutput:
    """L = (Ls + weight * Lu) / 2, and what is worth watching.

    Args:
        method: whose step it is.
        step: counted from 0.
        loss_supervised: Ls.
        logits, own, views, ignored: as for `unsupervised_output`.
    """
    taught = unsupervised_output(method, step, logits, own, views, ignored)
    return replace(
        taught,
        loss=(loss_supervised + taught.loss) / 2,
        scalars={"loss_supervised": loss_supervised.detach(), **taught.scalars},
    )


# Has the arguments of `taught_output` except the supervised loss: a method calls the one or the other.
def unsupervised_output(
    method: TaughtMethod,
    step: int,
    logits: Sequence[torch.Tensor],
    own: PseudoLabels,
    views: Sequence[CutMixed],
    ignored: torch.Tensor,
) -> MethodOutput:
    """L = weight * Lu, and what is worth watching.

    Args:
        method: whose step it is.
        step: counted from 0.
        logits: of each strong view, `(batch, classes, height, width)`.
        own: pseudo-labels of the weak views.
        views: the strong views with theirs.
        ignored: bool `(batch, height, width)`, true where a weak view has padding.
    """
    weights = [method.confidence.weights(view) for view in views]
    found = list(zip(logits, views, weights, strict=True))
    loss_unsupervised = sum(method.confidence.loss(*of_view) for of_view in found) / len(views)
    return MethodOutput(
        loss=method.weight_at(step) * loss_unsupervised,
        scalars={
            "loss_unsupervised": loss_unsupervised.detach(),
            "mask_ratio": sum(share_of(weight, view.valid, view.count) for _, view, weight in found) / len(views),
            "agreement": sum(view.agreement(of_view.detach()) for of_view, view, _ in found) / len(views),
            "mean_confidence": share_of(own.confidence * ~ignored, ~ignored),
            "highest_confidence": (own.confidence * ~ignored).max(),
        },
        class_counts=sum(view.class_counts(own.classes, weight) for _, view, weight in found),
    )
