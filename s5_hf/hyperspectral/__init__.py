"""Classes of hyperspectral cubes from their names alone: SPECIAL (arXiv 2501.16222)."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "classification": ("CubeFiles", "CubeMap", "FirstLabels", "classify_cube"),
        "cube": ("ArrayCube", "HyperspectralCube"),
        "kind": ("CubeScores", "SpecialTraining"),
        "opening": ("open_cube",),
        "recipe": ("SpecialRecipe",),
        "value_stretch": ("ValueStretch",),
    },
)
