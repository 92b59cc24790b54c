"""S5 for remote sensing: semi-supervised segmentation and oriented detection in the HuggingFace style.

Importing the package registers its networks with the Auto classes of transformers, makes the known names (`s5-vit-b`
and its kin, see `s5_hf.hub`) work in every `from_pretrained`, and makes `load_dataset` know the datasets.
"""

from .datasets_hook import register_datasets
from .hub import install_file_hook
from .registration import register_networks
from .version import __version__

register_networks()
install_file_hook()
register_datasets()

__all__ = ["__version__"]
