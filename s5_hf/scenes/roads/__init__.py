"""Roads of whole scenes: one graph, without seams, and the files that hold it."""

from ...lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "road_settings": ("RoadSettings",),
        "road_tracing": ("SceneRoads",),
        "single_scene": ("RoadProducts", "trace_roads"),
    },
)
