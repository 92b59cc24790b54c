"""Made-up aerial scenes with exact labels, for demonstrations, tests and first training runs."""

from .canvas import METRES_PER_PIXEL, SCENE_LABELS
from .files import write_synthetic_dataset
from .scene import (
    BOX_LABELS,
    LARGEST_SIDE,
    SCENE_PALETTE,
    SMALLEST_SIDE,
    SyntheticScene,
    synthetic_dataset,
    synthetic_scene,
)

__all__ = [
    "SCENE_LABELS",
    "SCENE_PALETTE",
    "BOX_LABELS",
    "METRES_PER_PIXEL",
    "SMALLEST_SIDE",
    "LARGEST_SIDE",
    "SyntheticScene",
    "synthetic_scene",
    "synthetic_dataset",
    "write_synthetic_dataset",
]
