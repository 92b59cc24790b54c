"""How an image becomes detections in an evaluation, and how these are judged.

Source: the test settings of the official release of S5 (arXiv 2508.12409) for DIOR-R and DOTA-v2.0. What the published
numbers of a dataset need is in the registry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...dataset_builders.registry import DatasetEntry
from ...scenes.detection.tile_detection import PUBLISHED_OVERLAP, TileSettings
from ..protocols import EvaluationProtocol

__all__ = ["DETECTION_PROTOCOLS", "DetectionProtocol", "choose_detection_protocol"]

DETECTION_PROTOCOLS = {
    "published": "as the numbers of the dataset are published, by the registry",
    "official": "as published, and recalls of the 11 points compared in floating point as the official code does",
    "original": "whole images at their own size",
    "resize": "images resized so that the longer side has 1024 pixels",
    "sliding": "tiles of 1024 pixels every 824 over images of their own size, objects merged",
}
"""Names of the protocols, and what they mean."""


@dataclass(frozen=True)
class DetectionProtocol(EvaluationProtocol):
    """How detections are made and judged; images are resized so that their longer side fits.

    Args:
        name: one of `DETECTION_PROTOCOLS`.
        resize, window, stride, flips: as [`EvaluationProtocol`]. An image that is smaller than a window is one input
            of its own size; the stride is a window less the published overlap (200 of 1024) if left out.
        threshold, iou_threshold, merge_iou_threshold, max_detections: see [`TileSettings`]; the published values.
        average_precision: which one is the result, at IoU 0.5: `"voc07"` (11 points) or `"area"`.
        official_recalls: compare the recalls of the 11 points as the official code does, see
            [`eleven_point_average_precision`].
        difficult_counted: whether objects that are marked as difficult count; else they may be found but need not be.

    Raises:
        ValueError: as [`EvaluationProtocol`] and [`TileSettings`].
    """

    TASK: ClassVar[str] = "detection"
    KNOWN: ClassVar[Mapping[str, str]] = DETECTION_PROTOCOLS
    DEFAULT_SIDE: ClassVar[int] = 1024

    threshold: float = 0.05
    iou_threshold: float = 0.1
    merge_iou_threshold: float = 0.5
    max_detections: int = 2000
    average_precision: Literal["voc07", "area"] = "area"
    difficult_counted: bool = False
    official_recalls: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tiles(batch_size=1)  # checks the other values

    @staticmethod
    def default_stride(window: int) -> int:
        """A window less the published overlap."""
        return TileSettings(window, PUBLISHED_OVERLAP).stride

    @classmethod
    def details(cls, entry: DatasetEntry, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Name, average precision, and whether difficult objects count."""
        if "scales" in changes:
            raise ValueError("scales are for segmentation; detection has resize, window, stride and flips")
        published = entry.evaluation
        return {
            "name": name,
            "average_precision": published.average_precision or "area",
            "difficult_counted": published.difficult_counted,
            "official_recalls": name == "official" and published.average_precision == "voc07",
        }

    def tiles(self, batch_size: int) -> TileSettings:
        """The same for tiles; without a window, for whole images."""
        window = self.window or self.DEFAULT_SIDE
        return TileSettings(
            tile=window,
            overlap=1 - (self.stride or window) / window,
            batch_size=batch_size,
            flips=self.flips,
            threshold=self.threshold,
            iou_threshold=self.iou_threshold,
            merge_iou_threshold=self.merge_iou_threshold,
            max_detections=self.max_detections,
        )

    def describe(self) -> str:
        """One line for a report."""
        parts = ["images at their own size" if self.resize is None else f"longer side resized to {self.resize} px"]
        if self.window is not None:
            parts.append(
                f"tiles of {self.window} px every {self.stride} px, objects merged at IoU {self.merge_iou_threshold:g}"
            )
        if self.flips != ("none",):
            parts.append(f"flips: {', '.join(self.flips)}")
        parts.append(f"scores above {self.threshold:g}, non-maximum suppression at IoU {self.iou_threshold:g}")
        if self.official_recalls:
            parts.append("recalls compared as in the official code")
        parts.append("difficult objects count" if self.difficult_counted else "difficult objects ignored")
        return "; ".join(parts)


choose_detection_protocol = DetectionProtocol.choose
