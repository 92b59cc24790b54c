"""ISPRS Potsdam: aerial RGB at 5 cm, five classes and clutter (id 5, ignored)."""

from .isprs import ISPRSBuilder, TileSplit
from .layouts import COMMON_LAYOUTS, Layout

TRAIN_TILES = (
    "2_10",
    "2_11",
    "2_12",
    "3_10",
    "3_11",
    "3_12",
    "4_10",
    "4_11",
    "4_12",
    "5_10",
    "5_11",
    "5_12",
    "6_7",
    "6_8",
    "6_9",
    "6_10",
    "6_11",
    "6_12",
    "7_7",
    "7_8",
    "7_9",
    "7_10",
    "7_11",
    "7_12",
)
VAL_TILES = (
    "2_13",
    "2_14",
    "3_13",
    "3_14",
    "4_13",
    "4_14",
    "4_15",
    "5_13",
    "5_14",
    "5_15",
    "6_13",
    "6_14",
    "6_15",
    "7_13",
)

PUBLISHER = Layout(
    description="2_Ortho_RGB/top_potsdam_T_RGB.tif, 5_Labels_all/top_potsdam_T_label.tif, split by tile",
    images=r"(?:.*/)?2_Ortho_RGB/(?:.*/)?top_potsdam_(?P<tile>\d+_\d+)_RGB\.tif",
    labels=r"(?:.*/)?5_Labels[^/]*/(?:.*/)?top_potsdam_(?P<tile>\d+_\d+)_label(?:_noBoundary)?\.tif",
    split_of=TileSplit(TRAIN_TILES, VAL_TILES),
)


class Potsdam(ISPRSBuilder):
    """Crops of 512 px in the release, whole 6000 px tiles from the publisher."""

    DATASET = "s5-potsdam"
    RELEASE_FOLDERS = ("labeled/potsdam", "potsdam", "Potsdam")
    LAYOUTS = (*COMMON_LAYOUTS, PUBLISHER)
