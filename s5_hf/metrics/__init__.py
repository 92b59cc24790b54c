"""Metrics: counts that add up over images and processes, scores from counts, and modules of `evaluate`."""

from .boundary import BoundaryCounts
from .confusion_matrix import ConfusionMatrix

__all__ = ["BoundaryCounts", "ConfusionMatrix"]
