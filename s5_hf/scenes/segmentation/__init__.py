"""Maps of whole scenes: windows blended into files of classes, areas and polygons."""

from ...lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "asked_scene": ("ask_scene",),
        "many_scenes": ("segment_scenes",),
        "mosaic": ("write_mosaic",),
        "polygons": ("write_polygons",),
        "scene_probabilities": ("WindowSettings",),
        "scene_result": ("MapProducts", "SceneFiles", "SceneResult"),
        "single_scene": ("segment_scene",),
    },
)
