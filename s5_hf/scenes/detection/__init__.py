"""Oriented objects in scenes of any size, and the files that hold them."""

from ...lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "dota_results": ("read_task1_results", "write_task1_results"),
        "many_scenes": ("detect_scenes",),
        "scene_detections": ("SceneDetections", "read_coco_detections"),
        "submission_check": ("SubmissionCheck", "check_submission"),
        "single_scene": ("FORMATS", "detect_scene"),
        "tile_detection": ("TileSettings",),
    },
)
