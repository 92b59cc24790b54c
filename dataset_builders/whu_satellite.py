"""WHU Building, satellite dataset II: buildings of East Asia in tiles of 512 px."""

from .binary_masks import BinaryEncoding, pairs
from .segmentation_builder import SegmentationBuilder


class WHUSatellite2(SegmentationBuilder):
    """The publisher's tiles, in `1.cropped`."""

    DATASET = "s5-whu-satellite-2"
    LAYOUTS = (pairs("image", "label"),)
    ENCODING = BinaryEncoding()
