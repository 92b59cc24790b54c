"""Metrics: counts that add up over images and processes, scores from counts, and modules of `evaluate`."""

from importlib import import_module

from .boundary import BoundaryCounts
from .confusion_matrix import ConfusionMatrix
from .segmentation_counts import SegmentationCounts

# Imported when they are used, because `evaluate` takes its time.
_EVALUATE_MODULES = {
    "OrientedAveragePrecision": "oriented_average_precision",
    "SegmentationMetrics": "segmentation_metrics",
}

__all__ = ["BoundaryCounts", "ConfusionMatrix", "SegmentationCounts", *_EVALUATE_MODULES]


def __getattr__(name: str) -> type:
    if name not in _EVALUATE_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_EVALUATE_MODULES[name]}", __name__), name)
