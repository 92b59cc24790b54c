"""UDD5: drone images of Chinese cities, five classes; masks hold class ids."""

from .binary_masks import pairs
from .segmentation_builder import SegmentationBuilder


class UDD5(SegmentationBuilder):
    """The publisher's folders `src` and `gt`."""

    DATASET = "s5-udd5"
    RELEASE_FOLDERS = ("UDD5", "UDD/UDD5")
    LAYOUTS = (pairs("src", "gt"),)
