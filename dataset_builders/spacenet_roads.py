"""SpaceNet roads: the test set of GlobalRoadSet, which draws the roads of SpaceNet as masks."""

from .binary_masks import ROAD_TEST, BinaryEncoding
from .segmentation_builder import SegmentationBuilder


class SpaceNetRoads(SegmentationBuilder):
    """Folders `img` and `gt`. SpaceNet itself publishes lines, no masks."""

    DATASET = "s5-spacenet-roads"
    RELEASE_FOLDERS = ("SpaceNet_test_567", "GlobalRoadSet_Val/SpaceNet_test_567")
    LAYOUTS = (ROAD_TEST,)
    ENCODING = BinaryEncoding()
