"""Inference: windows over scenes of any size, test-time augmentation, and maps of whole scenes in bounded memory."""

from ..predictors.image_probabilities import NonFiniteOutputError
from ..predictors.interfaces import SceneSegmenter
from ..predictors.torch_segmenter import TorchSegmenter, load_segmenters
from .segmentation.many_scenes import find_scenes, segment_scenes
from .segmentation.scene_probabilities import WindowSettings
from .segmentation.scene_result import MapProducts, SceneFiles, SceneResult
from .segmentation.single_scene import segment_scene

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
