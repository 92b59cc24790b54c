"""Are the pseudo-labels healthy? A pre-training run watches them and warns before hours are lost."""

import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

LEAST_STEPS, MOST_STEPS = 10, 100
"""Steps that values are averaged over in a short and in a long run."""
LONGEST_PATIENCE = 1000
"""Steps after which a long run must have confident pixels."""
SUPPRESSION = 3.0
"""How many times smaller the share of the other classes is than among the labels where one has taken over."""


class PseudoLabelHealth:
    """Watches mask ratio and class shares over the last steps, and warns once per kind of trouble.

    Args:
        labels: class names.
        steps: with pseudo-labels that the run makes. Averages are taken over a twentieth of them, and a low mask ratio
            is normal in the first fifth of them, both within limits.
        lowest_mask_ratio: below it the mask ratio has collapsed: nothing is learnt from unlabelled images.
        highest_share: above it one class has taken over the confident pseudo-labels, where there are no labels to
            compare with.
        dominant_share: where there are, it may have taken over from here on.

    Attributes:
        warned: kind of trouble, and the step and text of its warning.
        labelled: how much each class had among the labelled pixels so far; only the ratios count.
    """

    def __init__(
        self,
        labels: Sequence[str],
        steps: int,
        lowest_mask_ratio: float = 0.01,
        highest_share: float = 0.95,
        dominant_share: float = 0.8,
    ) -> None:
        self.labels = list(labels)
        self.window = max(LEAST_STEPS, min(MOST_STEPS, steps // 20))
        self.patience = max(self.window, min(LONGEST_PATIENCE, steps // 5))
        self.lowest_mask_ratio, self.highest_share = lowest_mask_ratio, highest_share
        self.dominant_share = dominant_share
        self.mask_ratios: deque[float] = deque(maxlen=self.window)
        self.shares: deque[Sequence[float]] = deque(maxlen=self.window)
        self.warned: dict[str, tuple[int, str]] = {}
        self.best_mask_ratio = self.highest_confidence = 0.0
        self.seen = 0
        self.labelled = [0.0] * len(self.labels)

    def see_labelled(self, shares: Sequence[float]) -> None:
        """Note the share of each class in the labelled pixels of a step; all of them 0 where it has none."""
        self.labelled = [total + share for total, share in zip(self.labelled, shares, strict=True)]

    def see(
        self,
        step: int,
        mask_ratio: float,
        shares: Sequence[float],
        threshold: float | None = None,
        highest_confidence: float = 0.0,
    ) -> list[str]:
        """Note a step; returns the warnings that were given.

        Args:
            step: counted from 0.
            mask_ratio: share of the unlabelled pixels that count, 0 to 1.
            shares: of the classes in them.
            threshold: probability that they must reach, where the method has one; the lowest of the classes.
            highest_confidence: of any unlabelled pixel of the step.
        """
        self.seen += 1
        self.mask_ratios.append(mask_ratio)
        self.shares.append(shares)
        self.highest_confidence = max(self.highest_confidence, highest_confidence)
        if len(self.mask_ratios) < self.window:
            return []
        average = sum(self.mask_ratios) / len(self.mask_ratios)
        self.best_mask_ratio = max(self.best_mask_ratio, average)
        found = {}
        if self.best_mask_ratio == 0:
            if self.seen >= self.patience:
                found["admission"] = self._nothing_admitted(threshold)
        elif average < self.lowest_mask_ratio and (self.seen >= self.patience or self.best_mask_ratio > 0.1):
            found["mask ratio"] = (
                f"the mask ratio has collapsed: {average:.2%} of the unlabelled pixels are above the confidence "
                f"threshold, at best it was {self.best_mask_ratio:.2%}; nothing is learnt from unlabelled images"
            )
        takeover = self._takeover([sum(column) / len(self.shares) for column in zip(*self.shares, strict=True)])
        if takeover:
            found["class"] = takeover
        return self._warn(step, found)

    def see_validation(self, step: int, scores: Mapping[str, float]) -> list[str]:
        """Note the values of a validation; returns the warnings that were given.

        The overall accuracy of the confident pixels says nothing of a class that is never among them.

        Args:
            step: counted from 0.
            scores: with `confident_accuracy` and `confident_recall/<class>`, 0 to 1; NaN for a class without pixels.
        """
        starved = [label for label in self.labels if scores.get(f"confident_recall/{label}") == 0]
        if not starved or len(starved) == len(self.labels) or self.seen < self.patience:
            return []
        text = (
            f"{scores['confident_accuracy']:.0%} of the confident validation pixels are right, but not one pixel of "
            f"{', '.join(starved)} gets a right and confident pseudo-label: nothing is learnt of it from unlabelled "
            "images"
        )
        return self._warn(step, {"recall": text})

    def _takeover(self, shares: Sequence[float]) -> str:
        """The warning about a class that has taken over, empty if none has.

        A class has taken over if the others have left less than a third of what they have among the labels. At first,
        when few pixels are confident, that is normal.
        """
        highest = max(shares, default=0.0)
        if not highest:
            return ""
        place, labelled = shares.index(highest), sum(self.labelled)
        text = f"the class {self.labels[place]!r} has taken over {highest:.0%} of the confident pseudo-labels"
        if not labelled:
            return text if highest > self.highest_share else ""
        own = self.labelled[place] / labelled
        limit = max(self.dominant_share, 1 - (1 - own) / SUPPRESSION)
        if self.seen < self.patience or highest <= limit:
            return ""
        return f"{text}; of the labelled pixels it has {own:.0%}"

    def _nothing_admitted(self, threshold: float | None) -> str:
        text = f"in {self.seen} steps not one unlabelled pixel counted: nothing is learnt from unlabelled images"
        if threshold is None:
            return text
        return f"{text}. The threshold is {threshold:g}, the highest confidence was {self.highest_confidence:.3f}"

    def _warn(self, step: int, found: Mapping[str, str]) -> list[str]:
        fresh = {kind: text for kind, text in found.items() if kind not in self.warned}
        self.warned |= {kind: (step, text) for kind, text in fresh.items()}
        for text in fresh.values():
            warnings.warn(f"step {step}: {text}", RuntimeWarning, stacklevel=3)
        return list(fresh.values())

    def state(self) -> dict[str, Any]:
        """What was seen so far, as plain values: a resumed run warns when an uninterrupted one would."""
        return {
            "seen": self.seen,
            "labelled": self.labelled,
            "mask_ratios": list(self.mask_ratios),
            "shares": [list(shares) for shares in self.shares],
            "best_mask_ratio": self.best_mask_ratio,
            "highest_confidence": self.highest_confidence,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.seen, self.labelled = state["seen"], list(state["labelled"])
        self.mask_ratios = deque(state["mask_ratios"], maxlen=self.window)
        self.shares = deque(state["shares"], maxlen=self.window)
        self.best_mask_ratio, self.highest_confidence = state["best_mask_ratio"], state["highest_confidence"]
