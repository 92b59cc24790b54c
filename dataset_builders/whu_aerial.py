"""WHU Building, aerial part: buildings of Christchurch at 0.3 m in tiles of 512 px."""

from .binary_masks import BinaryEncoding, pairs
from .segmentation_builder import SegmentationBuilder


class WHUAerial(SegmentationBuilder):
    """The publisher's tiles, cropped for training."""

    DATASET = "s5-whu-aerial"
    RELEASE_FOLDERS = ("WHU-BD",)
    LAYOUTS = (pairs("image", "label"),)
    ENCODING = BinaryEncoding()
