"""How an image becomes a prediction in an evaluation.

Source: S5 (arXiv 2508.12409), section "Experiments", and the evaluation of its official code. What each dataset's
published numbers need is in the registry; here it becomes sizes, windows and flips.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...dataset_builders.registry import DatasetEntry
from ...predictors.test_time_augmentation import check_augmentations
from ...scenes.window_grid import window_starts

__all__ = ["ALL_FLIPS", "PROTOCOLS", "Protocol", "choose_protocol"]

PROTOCOLS = {
    "published": "as the numbers of the dataset are published, by the registry",
    "official": "as published, and windows at the right and lower border counted as often as the official code does",
    "original": "whole images at their own size",
    "resize": "images resized to 512 x 512, probabilities resized back",
    "sliding": "windows of 512 pixels every 256 over images of their own size",
}
"""Names of the protocols, and what they mean."""

ALL_FLIPS = ("none", "horizontal", "vertical", "both")
"""The sources say "flip augmentation" and no more; aerial images have no upright, so all four views are taken."""

DEFAULT_SIDE = 512


@dataclass(frozen=True)
class Protocol:
    """How predictions are made.

    Args:
        name: for the report; one of `PROTOCOLS`, followed by ", changed" where settings differ from it.
        resize: side in pixels of the square to which images are resized first (bilinear); probabilities are resized
            back. `None` keeps their size.
        window: side of the sliding window in pixels; `None` makes the whole image one input.
        stride: pixels from window to window, half a window if left out.
        flips: views whose probabilities are averaged, see [`predict_probabilities`].
        scales: likewise, factors of the input's size.
        repeat_border: give the last window along an axis the weight it has in the official code, which starts a
            window every `stride` pixels up to the border and shifts back those that reach beyond: 1024 pixels have
            windows at 0, 256, 512, 512 and 512.

    Raises:
        ValueError: if a value is out of range, or `stride` or `repeat_border` is given without a window.
    """

    name: str = "original"
    resize: int | None = None
    window: int | None = None
    stride: int | None = None
    flips: Sequence[str] = ("none",)
    scales: Sequence[float] = (1.0,)
    repeat_border: bool = False

    def __post_init__(self) -> None:
        check_augmentations(self.flips, self.scales)
        for name in ("resize", "window"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1 pixel, got {value}")
        if self.window is None:
            if self.stride is not None:
                raise ValueError(f"stride {self.stride} needs a window, which this protocol does not have")
            return
        if self.stride is None:
            object.__setattr__(self, "stride", max(1, self.window // 2))
        if not 1 <= self.stride <= self.window:
            raise ValueError(f"stride must be in 1..{self.window}, the side of the window, got {self.stride}")

    def window_weights(self, length: int) -> dict[int, int]:
        """Starts of the windows along an axis of `length` pixels, and how often each counts.

        The last window is shifted back to end at the border. An axis up to the window's side has one, at 0.
        """
        if self.window is None or length <= self.window:
            return {0: 1}
        if not self.repeat_border:
            return dict.fromkeys(window_starts(length, self.window, self.stride), 1)
        return dict(Counter(min(start, length - self.window) for start in range(0, length + 1, self.stride)))

    def describe(self) -> str:
        """One line for a report."""
        parts = ["images at their own size" if self.resize is None else f"images resized to {self.resize} px"]
        if self.window is not None:
            parts.append(f"windows of {self.window} px every {self.stride} px, probabilities averaged")
        if self.repeat_border:
            parts.append("border windows counted as in the official code")
        if tuple(self.flips) != ("none",):
            parts.append(f"flips: {', '.join(self.flips)}")
        if tuple(self.scales) != (1.0,):
            parts.append(f"scales: {', '.join(map(str, self.scales))}")
        return "; ".join(parts)


def choose_protocol(entry: DatasetEntry, name: str = "published", **changes: Any) -> Protocol:
    """A protocol by name, for a dataset of the registry.

    Args:
        entry: the dataset.
        name: one of `PROTOCOLS`.
        **changes: attributes of [`Protocol`] to set differently; `None` changes nothing.

    Raises:
        ValueError: for an unknown name (lists the known), a dataset that is not evaluated so, or changes that do not
            fit.
    """
    if name not in PROTOCOLS:
        known = "; ".join(f"{known}: {meaning}" for known, meaning in PROTOCOLS.items())
        raise ValueError(f"unknown protocol {name!r}. Known: {known}")
    published = entry.evaluation
    if published is None or entry.task != "segmentation":
        raise ValueError(f"{entry.name} is no segmentation dataset that can be evaluated: its task is {entry.task}")
    protocol = Protocol(name)
    if name in ("published", "official"):
        flips = ALL_FLIPS if published.flip_augmentation else ("none",)
        protocol = Protocol(name, published.resize, published.window, flips=flips)
    if name == "resize":
        protocol = Protocol(name, resize=DEFAULT_SIDE)
    if name == "sliding":
        protocol = Protocol(name, window=DEFAULT_SIDE)
    chosen = {key: value for key, value in changes.items() if value is not None}
    if chosen:
        chosen["name"] = f"{name}, changed"
    if "window" in chosen:
        chosen.setdefault("stride", max(1, chosen["window"] // 2))
    return replace(protocol, repeat_border=name == "official" and protocol.window is not None, **chosen)
