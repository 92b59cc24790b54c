"""DeepGlobe Road Extraction: roads at 0.5 m, in tiles of 1024 px."""

from .binary_masks import ROAD_TEST, BinaryEncoding
from .deepglobe import PUBLISHER
from .segmentation_builder import SegmentationBuilder


class DeepGlobeRoads(SegmentationBuilder):
    """The publisher's folders, as of the land cover, with masks for train only; or the test set of GlobalRoadSet."""

    DATASET = "s5-deepglobe-roads"
    RELEASE_FOLDERS = ("DeepGlobe_test_1530", "GlobalRoadSet_Val/DeepGlobe_test_1530")
    LAYOUTS = (ROAD_TEST, PUBLISHER)
    ENCODING = BinaryEncoding()
