"""Oriented detection around the model: objects in scenes of any size, and result files."""

from ...predictors.interfaces import SceneDetector
from ...predictors.torch_detector import TorchDetector
from .dota_results import read_task1_results, write_task1_results
from .many_scenes import detect_scenes
from .scene_detections import SceneDetections, read_coco_detections
from .single_scene import FORMATS, detect_scene
from .tile_detection import TileSettings

__all__ = [
    "FORMATS",
    "SceneDetections",
    "SceneDetector",
    "TileSettings",
    "TorchDetector",
    "detect_scene",
    "detect_scenes",
    "read_coco_detections",
    "read_task1_results",
    "write_task1_results",
]
