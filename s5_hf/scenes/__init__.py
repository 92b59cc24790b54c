"""Scenes of any size: overlapping windows, maps and objects of whole scenes, in bounded memory."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "pair_looks": ("ColorMatching", "PairTranslation", "choose_look"),
        "reading": ("SceneReading",),
        "segmentation": (
            "MapProducts",
            "SceneFiles",
            "SceneResult",
            "WindowSettings",
            "ask_scene",
            "segment_scene",
            "segment_scenes",
        ),
        "translation": ("translate_scene",),
        "source": ("SceneSource", "open_scene"),
    },
)
