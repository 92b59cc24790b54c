"""Massachusetts Roads: roads at 1 m, in tiles of 1500 px."""

from .binary_masks import ROAD_TEST, BinaryEncoding, pairs
from .segmentation_builder import SegmentationBuilder


class MassachusettsRoads(SegmentationBuilder):
    """The publisher's folders `sat` and `map`, or the test set of GlobalRoadSet."""

    DATASET = "s5-massachusetts-roads"
    RELEASE_FOLDERS = ("Massachusetts_test_49", "GlobalRoadSet_Val/Massachusetts_test_49")
    LAYOUTS = (ROAD_TEST, pairs("sat", "map"))
    ENCODING = BinaryEncoding()
