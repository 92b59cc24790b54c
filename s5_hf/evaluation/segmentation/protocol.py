"""How an image becomes a prediction in an evaluation of segmentation.

Source: S5 (arXiv 2508.12409), section "Experiments", and the evaluation of its official code. What each dataset's
published numbers need is in the registry; here it becomes sizes, windows and flips.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...dataset_builders.registry import DatasetEntry
from ...predictors.test_time_augmentation import check_augmentations
from ...scenes.window_grid import window_starts
from ..protocols import EvaluationProtocol

__all__ = ["ALL_FLIPS", "PROTOCOLS", "SegmentationProtocol", "choose_protocol"]

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


@dataclass(frozen=True)
class SegmentationProtocol(EvaluationProtocol):
    """How probabilities of classes are predicted; images are resized (bilinear) to a square.

    Args:
        name: one of `PROTOCOLS`, followed by ", changed" where settings differ from it.
        resize, window, stride, flips: as [`EvaluationProtocol`]; the stride is half a window if left out, and the
            probabilities of windows and flips are averaged, see [`predict_probabilities`].
        scales: likewise, factors of the input's size.
        repeat_border: give the last window along an axis the weight it has in the official code, which starts a
            window every `stride` pixels up to the border and shifts back those that reach beyond: 1024 pixels have
            windows at 0, 256, 512, 512 and 512.

    Raises:
        ValueError: as [`EvaluationProtocol`], or a scale is not positive.
    """

    TASK: ClassVar[str] = "segmentation"
    KNOWN: ClassVar[Mapping[str, str]] = PROTOCOLS
    DEFAULT_SIDE: ClassVar[int] = 512

    scales: Sequence[float] = (1.0,)
    repeat_border: bool = False

    def __post_init__(self) -> None:
        check_augmentations(self.flips, self.scales)
        super().__post_init__()

    @staticmethod
    def default_stride(window: int) -> int:
        """Half a window."""
        return max(1, window // 2)

    @classmethod
    def details(cls, entry: DatasetEntry, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Name, flips and the weight of windows at the border."""
        flips = name in ("published", "official") and entry.evaluation.flip_augmentation
        return {
            "name": f"{name}, changed" if changes else name,
            "flips": ALL_FLIPS if flips else ("none",),
            "repeat_border": name == "official" and entry.evaluation.window is not None,
        }

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


choose_protocol = SegmentationProtocol.choose
