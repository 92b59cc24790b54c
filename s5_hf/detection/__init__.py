"""Oriented detection around the model: objects in scenes of any size, and result files."""

from .detect_scene import FORMATS, detect_scene
from .detect_scenes import detect_scenes
from .dota_results import read_task1_results, write_task1_results
from .scene_detections import SceneDetections, read_coco_detections
from .scene_detector import SceneDetector
from .tile_detection import TileSettings
from .torch_detector import TorchDetector

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
