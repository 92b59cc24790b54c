"""S5 for remote sensing: semi-supervised segmentation and oriented detection in the HuggingFace style.

Importing the package registers its networks with the Auto classes of transformers, makes the known names (`s5-vit-b`
and its kin, see `s5_hf.hub`) work in every `from_pretrained`, and makes `load_dataset` know the datasets. It imports
none of these libraries for that: each is told when it is imported itself, before or after this package. The
environment variable `S5_HF_INTEGRATIONS` switches parts of this off (`s5_hf.integrations`).

The names that most people need can be imported from here; they are loaded when they are first asked for.
"""

import importlib
from typing import Any

from .integrations.switch import install_integrations
from .lazy_face import lazy_face
from .version import __version__

install_integrations()

_load_name, _, _names = lazy_face(
    __name__,
    {
        "hub": ("pull",),
        "modeling": (
            *("S5ChangeDetectionConfig", "S5DetectionConfig", "S5SegmentationConfig", "S5ViTConfig", "S5ViTModel"),
            *("S5ChangeImageProcessor", "S5ForChangeDetection", "S5ForOrientedObjectDetection"),
            *("S5ForSemanticSegmentation", "S5ImageProcessor"),
        ),
        "scenes": ("segment_scene",),
        "scenes.detection": ("detect_scene",),
    },
)
__all__ = ["__version__", *_names]

SUBPACKAGES_BY_ATTRIBUTE = ("conversion", "dataset_builders", "hub", "integrations", "modeling")


def __getattr__(name: str) -> Any:
    """The names above, and the subpackages that code reaches as `s5_hf.modeling` without importing them."""
    if name in SUBPACKAGES_BY_ATTRIBUTE:
        return importlib.import_module(f"{__name__}.{name}")
    return _load_name(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *SUBPACKAGES_BY_ATTRIBUTE})
