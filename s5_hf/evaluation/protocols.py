"""What the protocols of segmentation and detection have in common: names, sizes of images and windows, flips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from ..dataset_builders.registry import DatasetEntry
from ..predictors.test_time_augmentation import check_augmentations

__all__ = ["EvaluationProtocol"]

ProtocolT = TypeVar("ProtocolT", bound="EvaluationProtocol")


@dataclass(frozen=True)
class EvaluationProtocol:
    """How an image becomes a prediction.

    Args:
        name: of the protocol, for the report.
        resize: side in pixels to which images are resized first; predictions are resized back. `None` keeps their
            size.
        window: side of the sliding window in pixels; `None` makes the whole image one input.
        stride: pixels from window to window; the specialist has a default.
        flips: views of an image whose predictions are combined.

    Raises:
        ValueError: if a value is out of range, or `stride` is given without a window.
    """

    TASK: ClassVar[str]
    KNOWN: ClassVar[Mapping[str, str]]
    DEFAULT_SIDE: ClassVar[int]

    name: str = "original"
    resize: int | None = None
    window: int | None = None
    stride: int | None = None
    flips: Sequence[str] = ("none",)

    def __post_init__(self) -> None:
        check_augmentations(self.flips, (1.0,))
        for name in ("resize", "window"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1 pixel, got {value}")
        if self.window is None:
            if self.stride is not None:
                raise ValueError(f"stride {self.stride} needs a window, which this protocol does not have")
            return
        if self.stride is None:
            object.__setattr__(self, "stride", self.default_stride(self.window))
        if not 1 <= self.stride <= self.window:
            raise ValueError(f"stride must be in 1..{self.window}, the side of the window, got {self.stride}")

    @staticmethod
    def default_stride(window: int) -> int:
        """Pixels from window to window where none are given."""
        raise NotImplementedError

    @classmethod
    def details(cls, entry: DatasetEntry, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """What a named protocol is for a dataset, besides its sizes; `changes` come on top."""
        raise NotImplementedError

    @classmethod
    def choose(cls: type[ProtocolT], entry: DatasetEntry, name: str = "published", **changes: Any) -> ProtocolT:
        """A protocol by name, for a dataset of the registry.

        Args:
            entry: the dataset.
            name: one of `KNOWN`.
            **changes: attributes to set differently; `None` changes nothing.

        Raises:
            ValueError: for an unknown name (lists the known), a dataset that is not evaluated so, or changes that do
                not fit.
        """
        if name not in cls.KNOWN:
            known = "; ".join(f"{known}: {meaning}" for known, meaning in cls.KNOWN.items())
            raise ValueError(f"unknown protocol {name!r} for {cls.TASK}. Known: {known}")
        published = entry.evaluation
        if published is None or entry.task != cls.TASK:
            raise ValueError(
                f"{entry.name} is not a {cls.TASK} dataset that can be evaluated: its task is {entry.task}"
            )
        fixed = {"original": {}, "resize": {"resize": cls.DEFAULT_SIDE}, "sliding": {"window": cls.DEFAULT_SIDE}}
        sizes = fixed.get(name, {"resize": published.resize, "window": published.window})
        chosen = {key: value for key, value in changes.items() if value is not None}
        return cls(**{**sizes, **cls.details(entry, name, chosen), **chosen})
