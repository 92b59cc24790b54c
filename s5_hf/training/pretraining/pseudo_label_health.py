"""Are the pseudo-labels healthy? Warnings for the two ways in which self-training fails."""

import warnings
from collections import deque
from collections.abc import Sequence


class PseudoLabelHealth:
    """Watches mask ratio and class shares over the last steps, and warns once per kind of trouble.

    Args:
        labels: class names.
        window: steps to average over.
        lowest_mask_ratio: below it the mask ratio has collapsed: nothing is learnt from unlabelled images.
        highest_share: above it one class has taken over the confident pseudo-labels.
        patience: steps at the beginning in which a low mask ratio is normal.
    """

    def __init__(
        self,
        labels: Sequence[str],
        window: int = 100,
        lowest_mask_ratio: float = 0.01,
        highest_share: float = 0.95,
        patience: int = 1000,
    ) -> None:
        self.labels, self.patience = list(labels), patience
        self.lowest_mask_ratio, self.highest_share = lowest_mask_ratio, highest_share
        self.mask_ratios: deque[float] = deque(maxlen=window)
        self.shares: deque[Sequence[float]] = deque(maxlen=window)
        self.warned: set[str] = set()
        self.best_mask_ratio = 0.0

    def see(self, step: int, mask_ratio: float, shares: Sequence[float]) -> list[str]:
        """Note a step; returns the warnings that were given."""
        self.mask_ratios.append(mask_ratio)
        self.shares.append(shares)
        if len(self.mask_ratios) < self.mask_ratios.maxlen:
            return []
        average = sum(self.mask_ratios) / len(self.mask_ratios)
        self.best_mask_ratio = max(self.best_mask_ratio, average)
        found = []
        if average < self.lowest_mask_ratio and (step >= self.patience or self.best_mask_ratio > 0.1):
            found.append(
                f"the mask ratio has collapsed: {average:.2%} of the unlabelled pixels are above the confidence "
                f"threshold, at best it was {self.best_mask_ratio:.2%}; nothing is learnt from unlabelled images"
            )
        mean_shares = [sum(column) / len(self.shares) for column in zip(*self.shares, strict=True)]
        if mean_shares and max(mean_shares) > self.highest_share:
            label = self.labels[mean_shares.index(max(mean_shares))]
            found.append(f"the class {label!r} has taken over {max(mean_shares):.0%} of the confident pseudo-labels")
        fresh = [text for text in found if text.split(" ")[1] not in self.warned]
        self.warned |= {text.split(" ")[1] for text in fresh}
        for text in fresh:
            warnings.warn(f"step {step}: {text}", RuntimeWarning, stacklevel=2)
        return fresh
