"""S5 for remote sensing: semi-supervised segmentation and oriented detection in the HuggingFace style."""

from .version import __version__

__all__ = ["__version__"]
