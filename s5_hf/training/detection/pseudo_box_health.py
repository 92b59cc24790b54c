"""Are the pseudo-boxes healthy? A detection run watches them and warns before hours are lost."""

import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

WINDOW = 50
"""Steps that class shares are averaged over."""
PATIENCE = 100
"""Steps with unlabelled images after which there must have been a pseudo-box."""


class PseudoBoxHealth:
    """Watches the number and the classes of the pseudo-boxes, and warns once per kind of trouble.

    Args:
        labels: names of the classes, of all tasks.
        threshold: score that a pseudo-box needs.
        steps: with unlabelled images that the run makes; in a short run a fifth of them is patience enough.

    Attributes:
        warned: kind of trouble, and the step and text of its warning.
    """

    def __init__(self, labels: Sequence[str], threshold: float, steps: int) -> None:
        self.labels, self.threshold = list(labels), threshold
        self.patience = max(1, min(PATIENCE, steps // 5))
        self.shares: deque[Sequence[float]] = deque(maxlen=WINDOW)
        self.warned: dict[str, tuple[int, str]] = {}
        self.seen, self.highest_score, self.admitted = 0, 0.0, False

    def state(self) -> dict[str, Any]:
        """What was seen so far, as plain values: a resumed run warns when an uninterrupted one would."""
        return {
            "seen": self.seen,
            "admitted": self.admitted,
            "highest_score": self.highest_score,
            "shares": [list(shares) for shares in self.shares],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.seen, self.admitted, self.highest_score = state["seen"], state["admitted"], state["highest_score"]
        self.shares = deque(state["shares"], maxlen=WINDOW)

    def see(self, step: int, boxes: float, shares: Sequence[float], highest_score: float) -> list[str]:
        """Note a step; returns the warnings that were given.

        Args:
            step: counted from 0.
            boxes: pseudo-boxes per unlabelled image.
            shares: of the classes in them, 0 to 1.
            highest_score: that the teacher gave to anything.
        """
        self.seen += 1
        self.admitted |= boxes > 0
        self.highest_score = max(self.highest_score, highest_score)
        if boxes > 0:
            self.shares.append(shares)
        found = {}
        if not self.admitted and self.seen >= self.patience:
            found["admission"] = (
                f"in {self.seen} steps not one object of the unlabelled images became a pseudo-box: nothing is learnt "
                f"from them but background. The threshold is {self.threshold:g}, the highest score was "
                f"{self.highest_score:.3f}"
            )
        means = [sum(column) / len(self.shares) for column in zip(*self.shares, strict=True)]
        if len(self.labels) > 1 and len(self.shares) == WINDOW and max(means) > 0.95:
            label = self.labels[means.index(max(means))]
            found["class"] = f"the class {label!r} has taken over {max(means):.0%} of the pseudo-boxes"
        fresh = {kind: text for kind, text in found.items() if kind not in self.warned}
        self.warned |= {kind: (step, text) for kind, text in fresh.items()}
        for text in fresh.values():
            warnings.warn(f"step {step}: {text}", RuntimeWarning, stacklevel=2)
        return list(fresh.values())
