"""DWL: two classifiers that are decoupled, and pseudo-labels weighted by the rank of their confidence."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from ..modeling.deterministic_operations import pixel_errors
from .batches import LabelledBatch, UnlabelledBatch
from .losses import mean_over_processes, supervised_loss
from .method import Method, MethodOutput, register_method
from .rank_weights import NOTHING, RankMemory, rank_weights, thinned
from .two_classifiers import TwoClassifiers, without_pseudo_classifier


@register_method("dwl")
@dataclass
class DWL(Method):
    """L = Ls + Lu; labels and pseudo-labels have a classifier each, and nothing is left out by a threshold.

    The labelled classifier, in train mode, labels the weak views; the pseudo classifier learns these labels on the
    strong views, without CutMix. Lu is the cross-entropy times the weight of each pixel, over the number of valid
    pixels. After every `mixing_steps` steps the labelled classifier takes over from the pseudo classifier. Inference
    uses the labelled classifier; a saved network holds no other.

    Args:
        total_steps: of the training; the weights grow sharper towards its end.
        mixing_steps: steps of an epoch.
        mixing_share: share of the pseudo classifier in the mixture: 1 as published for SegFormer, 0.5 for others.
        weights_from_step: before this step the memory fills, and no pseudo-label counts; 51 as published.
        unlabelled_from_step: 0; there is no phase without unlabelled images, as both classifiers need images.
        memory_entries: batches that are remembered of each class.
        ignored_class: a class whose pseudo-labels count nothing, where the network has one for what is ignored.

    Raises:
        ValueError: if a number is out of range.
    """

    total_steps: int = 0
    mixing_steps: int = 0
    mixing_share: float = 1.0
    weights_from_step: int = 51
    unlabelled_from_step: int = 0
    memory_entries: int = 50
    ignored_class: int | None = None
    pastes: ClassVar[bool] = False
    changes_weights: ClassVar[bool] = True
    heads: TwoClassifiers | None = field(default=None, init=False, repr=False, compare=False)
    memory: RankMemory | None = field(default=None, init=False, repr=False, compare=False)
    mixed_at: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("total_steps", "mixing_steps", "memory_entries"):
            if getattr(self, name) < 1:
                raise ValueError(f"dwl needs {name} of at least 1, got {getattr(self, name)}")
        if self.unlabelled_from_step:
            raise ValueError(
                "dwl reads unlabelled images from the first step on: leave out unlabelled_from_step, "
                f"got {self.unlabelled_from_step}; weights_from_step says from when on they count"
            )
        if not 0 <= self.mixing_share <= 1:
            raise ValueError(f"mixing_share must lie between 0 and 1, got {self.mixing_share}")

    @property
    def has_state(self) -> bool:
        """The memory, and when the classifiers were mixed."""
        return True

    def extend(self, model: nn.Module) -> None:
        """Give the network the second classifier.

        Raises:
            ValueError: if it has several tasks.
        """
        if len(model.classifiers) != 1:
            raise ValueError(f"dwl trains a network of one task, this one has {len(model.classifiers)}")
        model.classifiers[0] = TwoClassifiers(model.classifiers[0])

    def attach(self, model: nn.Module) -> None:
        """Find the classifiers, and start the memory."""
        self.heads = model.classifiers[0]
        (labels,) = model.config.tasks.values()
        self.memory = RankMemory(len(labels), self.memory_entries)

    def __call__(
        self, model: nn.Module, labelled: LabelledBatch, unlabelled: UnlabelledBatch | None, step: int
    ) -> MethodOutput:
        self.mix_when_due(step)
        with torch.no_grad():  # in train mode, as published
            probabilities = model(unlabelled.weak).logits.float().softmax(dim=1)
        confidence, pseudo_labels = probabilities.max(dim=1)
        weights = self.weights(confidence, pseudo_labels, unlabelled.ignored, step)
        count = len(labelled.labels)
        with self.heads.divided(count):
            logits = model(torch.cat([labelled.pixel_values, unlabelled.strong[0]])).logits
        loss_supervised = supervised_loss(logits[:count], labelled.labels, labelled.count)
        errors = pixel_errors(logits[count:].float(), pseudo_labels)
        own_count = unlabelled.count(0)
        valid = (mean_over_processes((~unlabelled.ignored).sum()) if own_count is None else own_count).clamp(min=1)
        loss_unsupervised = (errors * weights).sum() / valid
        return MethodOutput(
            loss=loss_supervised + loss_unsupervised,
            scalars={
                "loss_supervised": loss_supervised.detach(),
                "loss_unsupervised": loss_unsupervised.detach(),
                "mask_ratio": weights.sum() / valid,
            },
            class_counts=torch.zeros(logits.shape[1], device=logits.device).scatter_add_(
                0, pseudo_labels.flatten(), weights.flatten()
            ),
        )

    def weights(
        self, confidence: torch.Tensor, labels: torch.Tensor, ignored: torch.Tensor, step: int
    ) -> torch.Tensor:
        """Remember a batch and weigh it; float32 `(batch, height, width)`, 0 where nothing is to be learnt.

        Args:
            confidence: of the pseudo-labels, float32 `(batch, height, width)`.
            labels: the pseudo-labels.
            ignored: bool, true where padding was.
            step: counted from 0.
        """
        remembered = labels.masked_fill(ignored, NOTHING)
        self.memory.see(thinned(confidence), thinned(remembered))
        weights = rank_weights(confidence, labels, self.memory.bins(), step / self.total_steps)
        nothing = ignored if self.ignored_class is None else ignored | (labels == self.ignored_class)
        return weights.masked_fill(nothing, 0.0) * (step >= self.weights_from_step)

    def mix_when_due(self, step: int) -> None:
        """Mix the classifiers at the beginning of an epoch: the one before has been validated and saved unmixed."""
        if step % self.mixing_steps == 0 and step > self.mixed_at:
            self.heads.mix(self.mixing_share)
            self.mixed_at = step

    def saved_state(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The weights without the pseudo classifier."""
        return without_pseudo_classifier(state)

    def state_dict(self) -> dict[str, Any]:
        """The memory, and the step of the last mixing."""
        return {"memory": self.memory.state_dict(), "mixed_at": self.mixed_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        self.memory.load_state_dict(state["memory"])
        self.mixed_at = state["mixed_at"]
