"""How a pair becomes a prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..segmentation.protocol import SegmentationProtocol

__all__ = ["ChangeProtocol"]


@dataclass(frozen=True)
class ChangeProtocol(SegmentationProtocol):
    """As for segmentation, with both dates in every window."""

    TASK: ClassVar[str] = "change"
