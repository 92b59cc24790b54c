"""Which pseudo-labels count, and how much: by one threshold, by a threshold per class, or by their rank."""

from abc import ABC, abstractmethod
from typing import Any

import torch

from ..modeling.deterministic_operations import pixel_errors
from .losses import consistency_loss, sum_over_processes
from .pseudo_labels import CutMixed, PseudoLabels, share_of
from .rank_weights import NOTHING, RankMemory, rank_weights, thinned

MEMORY = 0.99
"""Decay of the moving counts that thresholds per class are made of."""


class Confidence(ABC):
    """How pseudo-labels are admitted.

    Attributes:
        has_state: whether `see` changes a state that a checkpoint must hold.
    """

    has_state = False

    def see(self, labels: PseudoLabels, ignored: torch.Tensor, step: int) -> None:  # noqa: B027 - most see nothing
        """See the pseudo-labels of a step before any of them counts.

        Args:
            labels: of the weak views.
            ignored: bool `(batch, height, width)`, true where padding was.
            step: counted from 0.
        """

    @property
    @abstractmethod
    def threshold(self) -> float | torch.Tensor | None:
        """Probability from which on a pseudo-label counts: one number, or float32 `(classes,)`; `None` for no such."""

    def weights(self, mixed: CutMixed) -> torch.Tensor:
        """How much each pixel of a strong view counts, 0..1, `(batch, height, width)`: here all or nothing."""
        return mixed.confident.float()

    def loss(self, logits: torch.Tensor, mixed: CutMixed, weights: torch.Tensor) -> torch.Tensor:
        """The consistency loss of a strong view, a scalar."""
        return consistency_loss(logits, mixed.labels, mixed.confident, mixed.valid, mixed.count)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 - without a state there is nothing to do
        """Restore a state from `state_dict`."""


class FixedThreshold(Confidence):
    """One threshold for all classes and steps.

    Args:
        threshold: the probability.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    @property
    def threshold(self) -> float:
        """The probability."""
        return self._threshold


class AdaptiveThresholds(Confidence):
    """A threshold per class, lower for classes that are learnt more slowly, after FlexMatch (arXiv 2110.08263).

    How far a class has been learnt is the share a of the pixels predicted as it that reach the highest threshold
    (FlexMatch counts images, equally many of each class; here classes differ in area by orders of magnitude). Its
    threshold is the highest one times b / (2 - b), with b = a / max(a) (FlexMatch, eq. 6 and 11), but not below the
    lowest one. While no pixel at all reaches the highest threshold, it holds for all classes.

    Args:
        highest, lowest: probabilities.
    """

    has_state = True

    def __init__(self, highest: float, lowest: float) -> None:
        self.highest, self.lowest = highest, lowest
        self.counts: torch.Tensor | None = None  # (2, classes): pixels predicted as a class, and those that are sure

    def see(self, labels: PseudoLabels, ignored: torch.Tensor, step: int) -> None:
        """Count pixels of each class, of all processes."""
        found = []
        for chosen in (~ignored, ~ignored & (labels.confidence >= self.highest)):
            count = torch.zeros(labels.classes, device=ignored.device)
            found.append(count.scatter_add_(0, labels.labels.flatten(), chosen.flatten().float()))
        seen = sum_over_processes(torch.stack(found))
        before = torch.zeros_like(seen) if self.counts is None else self.counts.to(seen)
        self.counts = MEMORY * before + (1 - MEMORY) * seen

    @property
    def threshold(self) -> float | torch.Tensor:
        """Float32 `(classes,)`; the highest threshold before anything was seen."""
        if self.counts is None:
            return self.highest
        predicted, sure = self.counts
        learnt = sure / predicted.clamp(min=torch.finfo(predicted.dtype).tiny)
        most = learnt.max()
        share = learnt / torch.where(most > 0, most, 1.0)
        rising = (self.highest * share / (2 - share)).clamp(min=self.lowest)
        return torch.where(most > 0, rising, self.highest)

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        return {"counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the counts."""
        self.counts = state["counts"]


class RankWeights(Confidence):
    """Every pixel counts, by the rank of its confidence among recent ones of its class, as in DWL.

    Args:
        total_steps: of the training; the weights grow sharper towards its end.
    """

    has_state = True

    def __init__(self, total_steps: int) -> None:
        self.total_steps = total_steps
        self.memory: RankMemory | None = None
        self.progress = 0.0

    def see(self, labels: PseudoLabels, ignored: torch.Tensor, step: int) -> None:
        """Remember confidences of each class, of all processes."""
        self.memory = RankMemory(labels.classes) if self.memory is None else self.memory
        self.progress = step / self.total_steps
        remembered = labels.labels.masked_fill(ignored, NOTHING)
        self.memory.see(thinned(labels.confidence), thinned(remembered))

    @property
    def threshold(self) -> None:
        """There is none."""
        return None

    def weights(self, mixed: CutMixed) -> torch.Tensor:
        """Weights by rank; 0 where nothing is to be learnt."""
        if self.memory is None:
            return mixed.confident.float()
        weights = rank_weights(mixed.confidence, mixed.labels, self.memory.bins(), self.progress)
        return weights.masked_fill(~mixed.confident, 0.0)

    def loss(self, logits: torch.Tensor, mixed: CutMixed, weights: torch.Tensor) -> torch.Tensor:
        """The weighted cross-entropy, over the number of valid pixels."""
        errors = pixel_errors(logits.float(), mixed.labels) * weights
        return share_of(errors, mixed.valid, mixed.count)

    def state_dict(self) -> dict[str, Any]:
        """The memory."""
        return {"classes": len(self.memory.entries), **self.memory.state_dict()} if self.memory else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the memory."""
        if state:
            self.memory = RankMemory(state["classes"])
            self.memory.load_state_dict(state)
