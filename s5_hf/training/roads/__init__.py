"""Training of a network that draws road graphs."""

from ...lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__, {"kind": ("RoadData", "RoadTraining"), "recipe": ("RoadRecipe",), "tracing": ("trace_image",)}
)
