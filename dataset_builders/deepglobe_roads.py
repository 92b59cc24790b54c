"""DeepGlobe Road Extraction: roads at 0.5 m, in tiles of 1024 px."""

from .binary_masks import ROAD_TEST, BinaryEncoding
from .layouts import Layout
from .segmentation_builder import SegmentationBuilder

FOLDERS = {"train": "train", "valid": "val", "test": "test"}

PUBLISHER = Layout(
    description="{train,valid,test}/N_sat.jpg, train/N_mask.png",
    images=r"(?:.*/)?(?P<folder>train|valid|test)/(?P<name>\d+)_sat\.jpg",
    labels=r"(?:.*/)?(?P<folder>train|valid|test)/(?P<name>\d+)_mask\.png",
    split_of=lambda groups: FOLDERS[groups["folder"]],
    without_labels=("val", "test"),
    identity=lambda groups: groups["name"],
)


class DeepGlobeRoads(SegmentationBuilder):
    """The publisher's folders, with masks for train only, or the test set of GlobalRoadSet."""

    DATASET = "s5-deepglobe-roads"
    RELEASE_FOLDERS = ("DeepGlobe_test_1530", "GlobalRoadSet_Val/DeepGlobe_test_1530")
    LAYOUTS = (ROAD_TEST, PUBLISHER)
    ENCODING = BinaryEncoding()
