"""S5 for remote sensing: semi-supervised segmentation and oriented detection in the HuggingFace style.

Importing the package registers its networks with the Auto classes of transformers.
"""

from .registration import register_networks
from .version import __version__

register_networks()

__all__ = ["__version__"]
