"""VDD: varied drone images in 4K, seven classes; masks hold class ids."""

from .binary_masks import pairs
from .segmentation_builder import SegmentationBuilder


class VDD(SegmentationBuilder):
    """The publisher's folders `src` and `gt`."""

    DATASET = "s5-vdd"
    RELEASE_FOLDERS = ("VDD",)
    LAYOUTS = (pairs("src", "gt"),)
