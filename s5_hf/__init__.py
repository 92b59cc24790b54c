"""S5 for remote sensing: semi-supervised segmentation and oriented detection in the HuggingFace style."""

from .datasets_hook import register_datasets
from .version import __version__

register_datasets()

__all__ = ["__version__"]
