"""Made-up aerial scenes with exact labels, for demonstrations, tests and first training runs."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "canvas": ("METRES_PER_PIXEL", "SCENE_LABELS"),
        "changes": ("SyntheticChange", "synthetic_change", "write_synthetic_changes"),
        "cubes": ("SyntheticCube", "synthetic_cube"),
        "files": ("write_synthetic_dataset",),
        "questions": ("SceneQuestion", "scene_questions", "write_synthetic_questions"),
        "scene": (
            *("BOX_LABELS", "LARGEST_SIDE", "SCENE_PALETTE", "SMALLEST_SIDE"),
            *("SyntheticScene", "synthetic_dataset", "synthetic_scene"),
        ),
        "shores": ("SHORE_LABELS", "ShoreTile", "synthetic_shores"),
    },
)
