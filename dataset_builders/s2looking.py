"""S2Looking: buildings that came and went in rural areas, 5000 pairs of 1024 px of side-looking satellites.

Layout: the publisher's page (https://github.com/S2Looking/Dataset). `label` is read, which holds both kinds of change;
`label1` and `label2` hold those that came and those that went.
"""

from .pair_builder import PairBuilder
from .pair_layouts import three_folders


class S2Looking(PairBuilder):
    """The publisher's images, or crops of them in the same folders."""

    DATASET = "s5-s2looking"
    RELEASE_FOLDERS = ("S2Looking",)
    LAYOUTS = (three_folders("Image1", "Image2", "label"),)
