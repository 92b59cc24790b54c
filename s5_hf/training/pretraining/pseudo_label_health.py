"""Are the pseudo-labels healthy? A pre-training run watches them and warns before hours are lost."""

import warnings
from collections import deque
from collections.abc import Mapping, Sequence

LEAST_STEPS, MOST_STEPS = 10, 100
"""Steps that values are averaged over in a short and in a long run."""
LONGEST_PATIENCE = 1000
"""Steps after which a long run must have confident pixels."""


class PseudoLabelHealth:
    """Watches mask ratio and class shares over the last steps, and warns once per kind of trouble.

    Args:
        labels: class names.
        steps: with pseudo-labels that the run makes. Averages are taken over a twentieth of them, and a low mask ratio
            is normal in the first fifth of them, both within limits.
        lowest_mask_ratio: below it the mask ratio has collapsed: nothing is learnt from unlabelled images.
        highest_share: above it one class has taken over the confident pseudo-labels.

    Attributes:
        warned: kind of trouble, and the step and text of its warning.
    """

    def __init__(
        self, labels: Sequence[str], steps: int, lowest_mask_ratio: float = 0.01, highest_share: float = 0.95
    ) -> None:
        self.labels = list(labels)
        self.window = max(LEAST_STEPS, min(MOST_STEPS, steps // 20))
        self.patience = max(self.window, min(LONGEST_PATIENCE, steps // 5))
        self.lowest_mask_ratio, self.highest_share = lowest_mask_ratio, highest_share
        self.mask_ratios: deque[float] = deque(maxlen=self.window)
        self.shares: deque[Sequence[float]] = deque(maxlen=self.window)
        self.warned: dict[str, tuple[int, str]] = {}
        self.best_mask_ratio = self.highest_confidence = 0.0
        self.seen = 0

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
        mean_shares = [sum(column) / len(self.shares) for column in zip(*self.shares, strict=True)]
        if mean_shares and max(mean_shares) > self.highest_share:
            label = self.labels[mean_shares.index(max(mean_shares))]
            found["class"] = (
                f"the class {label!r} has taken over {max(mean_shares):.0%} of the confident pseudo-labels"
            )
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
