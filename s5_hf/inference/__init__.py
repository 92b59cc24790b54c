"""Inference: windows over scenes of any size, test-time augmentation, and maps of whole scenes in bounded memory."""

from .image_probabilities import NonFiniteOutputError
from .scene_probabilities import WindowSettings
from .scene_result import MapProducts, SceneFiles, SceneResult
from .scene_segmenter import SceneSegmenter
from .segment_scene import segment_scene
from .segment_scenes import find_scenes, segment_scenes
from .torch_segmenter import TorchSegmenter, load_segmenters

__all__ = [
    "MapProducts",
    "NonFiniteOutputError",
    "SceneFiles",
    "SceneResult",
    "SceneSegmenter",
    "TorchSegmenter",
    "WindowSettings",
    "find_scenes",
    "load_segmenters",
    "segment_scene",
    "segment_scenes",
]
