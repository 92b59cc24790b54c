"""S5 for remote sensing: semi-supervised segmentation and oriented detection in the HuggingFace style.

Importing the package registers its networks with the Auto classes of transformers, makes the known names (`s5-vit-b`
and its kin, see `s5_hf.hub`) work in every `from_pretrained`, and makes `load_dataset` know the datasets. It imports
none of these libraries for that: each is told when it is imported itself, before or after this package.
"""

import importlib
from types import ModuleType

from .integrations.auto_classes import register_networks
from .integrations.known_names import install_file_hook
from .integrations.load_dataset import register_datasets
from .version import __version__

register_networks()
install_file_hook()
register_datasets()

__all__ = ["__version__"]

SUBPACKAGES_BY_ATTRIBUTE = ("conversion", "dataset_builders", "hub", "modeling")


def __getattr__(name: str) -> ModuleType:
    """The subpackages that code reaches as `s5_hf.modeling` without importing them by that name."""
    if name in SUBPACKAGES_BY_ATTRIBUTE:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
