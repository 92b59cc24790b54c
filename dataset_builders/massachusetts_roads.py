"""Massachusetts Roads: roads at 1 m, in tiles of 1500 px, 1108 to train on, 14 and 49.

Sources of the layouts: www.cs.toronto.edu/~vmnih/data/mass_roads/{train,valid,test}/{sat,map}, as downloaded by
Lasagne/Recipes (examples/UNet/massachusetts_road_dataset_utils.py); the copy on Kaggle
(balraj98/massachusetts-roads-dataset); and the data_prefix and label folder of SegEarth-OV for GlobalRoadSet
(configs/cfg_massachusetts_road.py, tools/dataset_converters/roadval.py).
"""

from .binary_masks import ROAD_TEST, BinaryEncoding, pairs
from .layouts import IMAGE, Layout
from .segmentation_builder import SegmentationBuilder

KAGGLE = Layout(
    description="tiff/{train,val,test}/NAME.tiff, tiff/{train,val,test}_labels/NAME.tif",
    images=rf"(?:.*/)?tiff/(?P<split>train|val|test)/(?P<name>[^/]+?){IMAGE}",
    labels=rf"(?:.*/)?tiff/(?P<split>train|val|test)_labels/(?P<name>[^/]+?){IMAGE}",
)


class MassachusettsRoads(SegmentationBuilder):
    """The publisher's folders `sat` and `map`, the copy on Kaggle, or the test set of GlobalRoadSet."""

    DATASET = "s5-massachusetts-roads"
    RELEASE_FOLDERS = ("Massachusetts_test_49", "GlobalRoadSet_Val/Massachusetts_test_49")
    LAYOUTS = (ROAD_TEST, pairs("sat", "map"), KAGGLE)
    ENCODING = BinaryEncoding()
